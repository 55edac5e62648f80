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

// noticeableWait is how long an acquire takes at least to have a span. Most take
// less than a microsecond, and would double the spans for nothing.
const noticeableWait = time.Millisecond

// ConnectsKey is the attribute of an acquire's span: attempts to open a connection.
const ConnectsKey = attribute.Key("onepool.connect.attempts")

// acquiring is an acquire. While the server is away the acquire opens connections again and
// again: the first attempt and the last are spans.
type acquiring struct {
	began time.Time
	first context.Context // of the caller

	mu       sync.Mutex // a connect runs in a goroutine of the pool's
	ctx      context.Context
	span     trace.Span // nil: not worth one yet
	connects int
	latest   *connect // failed, and is no span yet
	over     bool
}

// connect is one attempt to open a connection.
type connect struct {
	acquire      *acquiring // nil: the pool's own
	config       *pgx.ConnConfig
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

// start starts the acquire's span, once. a.mu is held.
func (a *acquiring) start(t *tracer, m *lifecycle.Monitor, cc *pgx.ConnConfig) {
	if a.span != nil {
		return
	}
	_, client := lifecycle.MonitorOf(a.first, nil)
	a.ctx, a.span = t.spans.Start(a.first, "acquire connection", trace.WithTimestamp(a.began),
		trace.WithAttributes(newPlace(m, cc).attrs...), trace.WithAttributes(whose(a.first, client)...))
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
		a.latest.show(t, a.ctx)
	}
	if a.connects > 1 {
		a.span.SetAttributes(ConnectsKey.Int(a.connects))
	}
	if class := lifecycle.ErrorClass(data.Err); class != "" {
		t.fail(a.span, data.Err, class)
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
	c.ended, c.err = time.Now(), data.Err
	a := c.acquire
	if a == nil {
		c.show(t, ctx)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over { // the pool keeps the connection for somebody else
		return
	}
	a.start(t, c.monitor, c.config)
	if a.connects++; a.connects > 1 && c.err != nil {
		a.latest = c
		return
	}
	a.latest = nil
	c.show(t, a.ctx)
}

// show makes a span of the attempt.
func (c *connect) show(t *tracer, parent context.Context) {
	_, span := t.spans.Start(parent, "connect", trace.WithTimestamp(c.began), trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(newPlace(c.monitor, c.config).attrs...), trace.WithAttributes(whose(parent, c.client)...),
		trace.WithAttributes(semconv.DBOperationName("connect")))
	if class := lifecycle.ErrorClass(c.err); class != "" {
		t.fail(span, c.err, class)
	}
	span.End(trace.WithTimestamp(c.ended))
}
