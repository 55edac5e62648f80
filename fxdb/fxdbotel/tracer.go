package fxdbotel

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/tenant"
)

const scopeName = "github.com/agentagency/onepool/fxdb/fxdbotel"

// TenantKey is the attribute of a span with the tenant of its context.
const TenantKey = attribute.Key("onepool.tenant")

// NewTracer returns a tracer for fxdb.WithTracer. It has the methods of all of
// pgx's and pgxpool's tracers but the release tracer.
func NewTracer(cfg Config) pgx.QueryTracer {
	cfg = cfg.withDefaults()
	opts := []otelpgx.Option{
		otelpgx.WithTracerProvider(cfg.TracerProvider),
		otelpgx.WithMeterProvider(byClient{cfg.MeterProvider}),
	}
	if cfg.HideStatements {
		opts = append(opts, otelpgx.WithDisableSQLStatementInAttributes())
	}
	if cfg.RecordValues {
		opts = append(opts, otelpgx.WithIncludeQueryParameters())
	}
	opts = append(opts, cfg.Tracer...)
	opts = append(opts,
		// Both copy the whole configuration, TLS included, for every span.
		otelpgx.WithDisableConnectionDetailsInAttributes(),
		otelpgx.WithDisableAcquireTracer(),
	)
	return &tracer{
		Tracer: otelpgx.NewTracer(opts...),
		spans:  cfg.TracerProvider.Tracer(scopeName),
		values: cfg.RecordValues,
	}
}

// tracer is otelpgx's, with what it can't know of a onepool pool.
type tracer struct {
	*otelpgx.Tracer
	spans  trace.Tracer
	values bool // may be recorded
}

// describe adds where the statement runs, and whose and for whom it is, to the
// span in ctx, and the client to the metrics of ctx.
func describe(ctx context.Context, conn *pgx.Conn) context.Context {
	client := lifecycle.ClientOf(conn)
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		span.SetAttributes(server(conn)...)
		if client != "" {
			span.SetAttributes(ClientKey.String(client))
		}
		if id, ok := tenant.FromContext(ctx); ok {
			span.SetAttributes(TenantKey.String(id.Tenant))
		}
	}
	return withClient(ctx, client)
}

// server describes the connection. It is kept with it: Conn.Config makes a copy.
func server(conn *pgx.Conn) []attribute.KeyValue {
	if conn == nil {
		return nil
	}
	data := conn.PgConn().CustomData()
	if known, ok := data[scopeName].([]attribute.KeyValue); ok {
		return known
	}
	attrs := serverOf(conn.Config())
	if tcp, ok := conn.PgConn().Conn().RemoteAddr().(*net.TCPAddr); ok {
		attrs = append(attrs, semconv.NetworkPeerAddress(tcp.IP.String()), semconv.NetworkPeerPort(tcp.Port))
	}
	data[scopeName] = attrs
	return attrs
}

func serverOf(cc *pgx.ConnConfig) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.ServerAddress(cc.Host), semconv.ServerPort(int(cc.Port)), semconv.DBNamespace(cc.Database),
	}
}

func (t *tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	ctx = t.Tracer.TraceQueryStart(ctx, conn, data)
	return describe(ctx, conn)
}

func (t *tracer) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryEndData) {
	data.Err = t.shown(data.Err)
	t.Tracer.TraceQueryEnd(ctx, conn, data)
}

// statement is the result of the one statement that a batch with a scope is for.
type statement struct {
	tag pgconn.CommandTag
	err error
}

type statementKey struct{}

// isScope reports whether sql is what fxdb sends before a statement: the settings
// of the tenant and the client, local to the transaction.
func isScope(sql string) bool { return strings.HasPrefix(sql, "select pg_catalog.set_config('") }

// scoped returns the one statement that the batch is for beside its scope.
func scoped(b *pgx.Batch) *pgx.QueuedQuery {
	if b == nil || len(b.QueuedQueries) != 2 {
		return nil
	}
	first, second := b.QueuedQueries[0], b.QueuedQueries[1]
	switch {
	case isScope(first.SQL):
		return second
	case isScope(second.SQL): // behind the BEGIN of a transaction
		return first
	}
	return nil
}

func (t *tracer) TraceBatchStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	if q := scoped(data.Batch); q != nil {
		ctx = t.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: q.SQL, Args: q.Arguments})
		return context.WithValue(ctx, statementKey{}, &statement{})
	}
	ctx = t.Tracer.TraceBatchStart(ctx, conn, data)
	return describe(ctx, conn)
}

func (t *tracer) TraceBatchQuery(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchQueryData) {
	s, _ := ctx.Value(statementKey{}).(*statement)
	switch {
	case s != nil:
		if !isScope(data.SQL) {
			s.tag = data.CommandTag
		}
		if s.err == nil {
			s.err = data.Err
		}
	case isScope(data.SQL) && data.Err == nil:
		// It is no statement of the caller's.
	default:
		data.Err = t.shown(data.Err)
		t.Tracer.TraceBatchQuery(ctx, conn, data)
	}
}

func (t *tracer) TraceBatchEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceBatchEndData) {
	s, _ := ctx.Value(statementKey{}).(*statement)
	if s == nil {
		data.Err = t.shown(data.Err)
		t.Tracer.TraceBatchEnd(ctx, conn, data)
		return
	}
	if s.err == nil {
		s.err = data.Err
	}
	t.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{CommandTag: s.tag, Err: s.err})
}

func (t *tracer) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	ctx = t.Tracer.TraceCopyFromStart(ctx, conn, data)
	return describe(ctx, conn)
}

func (t *tracer) TraceCopyFromEnd(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromEndData) {
	data.Err = t.shown(data.Err)
	t.Tracer.TraceCopyFromEnd(ctx, conn, data)
}

func (t *tracer) TracePrepareStart(ctx context.Context, conn *pgx.Conn, data pgx.TracePrepareStartData) context.Context {
	ctx = t.Tracer.TracePrepareStart(ctx, conn, data)
	trace.SpanFromContext(ctx).SetName("prepare") // or it would be called as the statement's own
	return describe(ctx, conn)
}

func (t *tracer) TracePrepareEnd(ctx context.Context, conn *pgx.Conn, data pgx.TracePrepareEndData) {
	data.Err = t.shown(data.Err)
	t.Tracer.TracePrepareEnd(ctx, conn, data)
}

func (t *tracer) TraceConnectStart(ctx context.Context, data pgx.TraceConnectStartData) context.Context {
	ctx = t.Tracer.TraceConnectStart(ctx, data)
	if span := trace.SpanFromContext(ctx); span.IsRecording() && data.ConnConfig != nil {
		span.SetAttributes(serverOf(data.ConnConfig)...)
	}
	return ctx
}

// noticeableWait is how long an acquire takes at least to have a span. Most take
// less than a microsecond, and would double the spans for nothing.
const noticeableWait = time.Millisecond

type acquireKey struct{}

func (t *tracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	if !trace.SpanFromContext(ctx).IsRecording() {
		return ctx
	}
	_, began := lifecycle.Acquiring(ctx) // it may wait for its turn before the pool is asked
	if began.IsZero() {
		began = time.Now()
	}
	return context.WithValue(ctx, acquireKey{}, began)
}

func (t *tracer) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	began, ok := ctx.Value(acquireKey{}).(time.Time)
	if !ok || (data.Err == nil && time.Since(began) < noticeableWait) {
		return
	}
	attrs := []attribute.KeyValue{semconv.DBSystemNamePostgreSQL}
	if client, _ := lifecycle.Acquiring(ctx); client != "" {
		attrs = append(attrs, ClientKey.String(client))
	}
	if id, ok := tenant.FromContext(ctx); ok {
		attrs = append(attrs, TenantKey.String(id.Tenant))
	}
	_, span := t.spans.Start(ctx, "acquire connection", trace.WithTimestamp(began), trace.WithAttributes(attrs...))
	if data.Err != nil { // nothing was sent, so it quotes no parameter
		span.RecordError(data.Err)
		span.SetStatus(codes.Error, data.Err.Error())
	}
	span.End()
}
