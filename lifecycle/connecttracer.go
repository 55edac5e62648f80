package lifecycle

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// connectsAtOnce is the most concurrent connects: a burst must not become a storm on a server
// that is coming back.
const connectsAtOnce = 8

// connecting is an attempt to open a connection.
type connecting struct {
	m      *Monitor
	client string
	began  time.Time
	placed bool // holds a place of connectsAtOnce
}

// connectingKey marks the contexts of connects; the context of a cancel request has no mark.
type connectingKey struct{}

func (t tracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	ctx = untilStart(ctx)
	c := &connecting{m: t.m}
	if a := acquisitionOf(ctx); a != nil {
		c.client = a.request.Client
	}
	select {
	case t.m.connects <- struct{}{}:
		c.placed = true
	case <-ctx.Done(): // the connect itself fails by it
	}
	c.began = time.Now()
	return context.WithValue(ctx, connectingKey{}, c)
}

func (t tracer) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	c, _ := ctx.Value(connectingKey{}).(*connecting)
	if c == nil {
		return
	}
	if c.placed {
		<-t.m.connects
	}
	took := time.Since(c.began)
	t.m.connected(data.Err)
	t.m.observe(func(o Observer) { o.Connected(c.client, took, data.Err) })
}
