package fxdbotel

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/agentagency/onepool/lifecycle"
)

// noticeableWait is the shortest time of an acquire with a span, unless the acquire connected or
// failed. Most acquires take less than a microsecond, and would double the spans for nothing.
const noticeableWait = time.Millisecond

// ConnectsKey is the attribute of an acquire's span: the number of attempts to open a connection.
const ConnectsKey = attribute.Key("onepool.connect.attempts")

// acquiring is an acquire in progress. While the server is away, the acquire retries the connect:
// the first attempt and the last attempt are spans.
type acquiring struct {
	began time.Time
	first context.Context // the caller's

	mu       sync.Mutex // guards the fields below: the pool connects in a goroutine of its own
	ctx      context.Context
	span     trace.Span // nil: the acquire has no span yet
	connects int
	latest   *connect // the latest failed attempt, if not yet a span
	over     bool
}

// connect is an attempt to open a connection.
type connect struct {
	acquire      *acquiring // nil: the pool itself connects
	config       *pgx.ConnConfig
	server       endpoint // the host that answered; without an answer, the first host
	client       string
	monitor      *lifecycle.Monitor
	began, ended time.Time
	err          error
}

type (
	acquiringKey struct{}
	connectKey   struct{}
)

func (t *tracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	return context.WithValue(ctx, acquiringKey{}, &acquiring{began: time.Now(), first: ctx})
}

// start starts the acquire's span once. The caller holds a.mu.
func (a *acquiring) start(t *tracer, m *lifecycle.Monitor, cc *pgx.ConnConfig) {
	if a.span != nil {
		return
	}
	_, client := lifecycle.MonitorOf(a.first, nil)
	a.ctx, a.span = t.spans.Start(a.first, "acquire connection", trace.WithTimestamp(a.began),
		trace.WithAttributes(newPlace(m, cc.Database, firstOf(cc)).attrs...), trace.WithAttributes(whose(a.first, client)...))
}

func (t *tracer) TraceAcquireEnd(ctx context.Context, pool *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	holds(ctx, data.Conn)
	a, _ := ctx.Value(acquiringKey{}).(*acquiring)
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	if a.span == nil && data.Err == nil && time.Since(a.began) < noticeableWait {
		return
	}
	m, _ := lifecycle.MonitorOf(ctx, nil)
	a.start(t, m, pool.Config().ConnConfig)
	if a.latest != nil {
		a.latest.show(a.ctx, t)
	}
	if a.connects > 1 {
		a.span.SetAttributes(ConnectsKey.Int(a.connects))
	}
	if class := lifecycle.ErrorClass(data.Err); class != "" {
		t.fail(a.span, data.Err, class)
	} else {
		a.span.SetAttributes(placeOf(ctx, data.Conn).attrs...)
	}
	a.span.End()
}

func (t *tracer) TraceConnectStart(ctx context.Context, data pgx.TraceConnectStartData) context.Context {
	if !trace.SpanFromContext(ctx).IsRecording() || data.ConnConfig == nil {
		return ctx
	}
	c := &connect{config: data.ConnConfig, began: time.Now()}
	c.monitor, c.client = lifecycle.MonitorOf(ctx, nil)
	c.acquire, _ = ctx.Value(acquiringKey{}).(*acquiring)
	return context.WithValue(ctx, connectKey{}, c)
}

func (t *tracer) TraceConnectEnd(ctx context.Context, data pgx.TraceConnectEndData) {
	c, _ := ctx.Value(connectKey{}).(*connect)
	if c == nil {
		return
	}
	c.ended, c.err, c.server = time.Now(), data.Err, firstOf(c.config)
	if data.Conn != nil {
		c.server = peerOf(data.Conn, c.config)
	}
	a := c.acquire
	if a == nil {
		c.show(ctx, t)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over { // the pool keeps the connection for a later acquire
		return
	}
	a.start(t, c.monitor, c.config)
	if a.connects++; a.connects > 1 && c.err != nil {
		a.latest = c
		return
	}
	a.latest = nil
	c.show(a.ctx, t)
}

// show records the attempt as a span.
func (c *connect) show(parent context.Context, t *tracer) {
	_, span := t.spans.Start(parent, "connect", trace.WithTimestamp(c.began), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(newPlace(c.monitor, c.config.Database, c.server).attrs...), trace.WithAttributes(whose(parent, c.client)...),
		trace.WithAttributes(semconv.DBOperationName("connect")))
	if class := lifecycle.ErrorClass(c.err); class != "" {
		t.fail(span, c.err, class)
	}
	span.End(trace.WithTimestamp(c.ended))
}
