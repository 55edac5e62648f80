package fxdbotel

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/sqllex"
	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/tenant"
)

const scopeName = "github.com/agentagency/onepool/fxdb/fxdbotel"

// TenantKey is the attribute of a metric or span with the tenant's name.
const TenantKey = attribute.Key("onepool.tenant")

// NewTracer returns a tracer for [fxdb.WithTracer]. The tracer implements [fxdb.TxTracer],
// [fxdb.LogTracer], and every tracer of pgx and pgxpool except [pgxpool.ReleaseTracer].
func NewTracer(cfg Config) pgx.QueryTracer {
	cfg = cfg.withDefaults()
	meter := cfg.MeterProvider.Meter(scopeName, metric.WithSchemaURL(semconv.SchemaURL))
	duration, err := dbconv.NewClientOperationDuration(meter, operationBuckets)
	if err != nil {
		otel.Handle(err)
	}
	return &tracer{
		spans:    cfg.TracerProvider.Tracer(scopeName, trace.WithSchemaURL(semconv.SchemaURL)),
		duration: duration.Inst(),
		hide:     cfg.HideStatements,
		values:   cfg.RecordValues,
	}
}

type tracer struct {
	spans    trace.Tracer
	duration metric.Float64Histogram
	hide     bool // leave out the text of statements
	values   bool // record values
}

// operation is a statement, a batch, a COPY or a preparation in progress. The context carries the
// operation from start to end.
type operation struct {
	name   string // db.operation.name
	client string
	place  *place
	began  time.Time
	span   trace.Span // nil: not recorded

	attrs []attribute.KeyValue // of place, client and tenant, for the children of a batch
	last  time.Time            // the end of a batch's last child
}

type operationKey struct{}

func operationOf(ctx context.Context) *operation {
	op, _ := ctx.Value(operationKey{}).(*operation)
	return op
}

// begin starts an operation. If ctx has a recorded span, begin starts a span with describe's name
// and attributes.
func (t *tracer) begin(ctx context.Context, conn *pgx.Conn, name string, describe func() (summary string, attrs []attribute.KeyValue)) (context.Context, *operation) {
	op := &operation{name: name, place: placeOf(ctx, conn), began: time.Now()}
	_, op.client = lifecycle.MonitorOf(ctx, conn)
	ctx = within(ctx, conn)
	if trace.SpanFromContext(ctx).IsRecording() {
		summary, attrs := describe()
		op.attrs = slices.Concat(op.place.attrs, whose(ctx, op.client))
		ctx, op.span = t.spans.Start(ctx, nameOf(summary), trace.WithTimestamp(op.began), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(op.attrs...), trace.WithAttributes(described(name, summary)...), trace.WithAttributes(attrs...))
	}
	return context.WithValue(ctx, operationKey{}, op), op
}

// valid returns text as UTF-8. A single text that is not UTF-8 costs an exporter all spans of the
// export.
func valid(text string) string { return strings.ToValidUTF8(text, "\uFFFD") }

// nameOf returns a span's name: the operation and the tables.
func nameOf(summary string) string {
	if summary == "" {
		return semconv.DBSystemNamePostgreSQL.Value.AsString()
	}
	return summary
}

func described(name, summary string) (attrs []attribute.KeyValue) {
	if name != "" {
		attrs = append(attrs, semconv.DBOperationName(name))
	}
	if summary != "" {
		attrs = append(attrs, semconv.DBQuerySummary(summary))
	}
	return attrs
}

// whose returns the client and the tenant of a span.
func whose(ctx context.Context, client string) (attrs []attribute.KeyValue) {
	if client != "" {
		attrs = append(attrs, ClientKey.String(client))
	}
	if id, ok := tenant.FromContext(ctx); ok {
		attrs = append(attrs, TenantKey.String(valid(id.Tenant)))
	}
	return attrs
}

// end ends the operation of ctx.
func (t *tracer) end(ctx context.Context, tag pgconn.CommandTag, err error) {
	op := operationOf(ctx)
	if op == nil {
		return
	}
	t.record(ctx, op, err)
	if op.span == nil {
		return
	}
	t.finish(op.span, tag, err)
	op.span.End()
}

// finish records the error, or the number of returned rows.
func (t *tracer) finish(span trace.Span, tag pgconn.CommandTag, err error) {
	if class := lifecycle.ErrorClass(err); class != "" {
		t.fail(span, err, class)
	} else if tag.Select() {
		span.SetAttributes(semconv.DBResponseReturnedRows(int(tag.RowsAffected())))
	}
}

// text returns the attributes of a statement's text and, with Config.RecordValues, of the
// parameters.
func (t *tracer) text(sql string, args []any) (attrs []attribute.KeyValue) {
	switch clean, ok := sqllex.Sanitize(sql); {
	case t.hide:
	case t.values:
		attrs = append(attrs, semconv.DBQueryText(valid(sql)))
	case ok:
		attrs = append(attrs, semconv.DBQueryText(valid(clean)))
	}
	if t.values {
		for i, arg := range args {
			attrs = append(attrs, semconv.DBQueryParameter(strconv.Itoa(i), valid(fmt.Sprintf("%+v", arg))))
		}
	}
	return attrs
}

func (t *tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	ctx, _ = t.begin(ctx, conn, sqllex.Operation(data.SQL), func() (string, []attribute.KeyValue) {
		return valid(sqllex.Summary(data.SQL)), t.text(data.SQL, data.Args)
	})
	return ctx
}

func (t *tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.end(ctx, data.CommandTag, data.Err)
}

func (t *tracer) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceCopyFromStartData) context.Context {
	ctx, _ = t.begin(ctx, conn, "COPY", func() (string, []attribute.KeyValue) {
		table := valid(data.TableName.Sanitize())
		return "COPY " + table, []attribute.KeyValue{semconv.DBCollectionName(table)}
	})
	return ctx
}

func (t *tracer) TraceCopyFromEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceCopyFromEndData) {
	t.end(ctx, data.CommandTag, data.Err)
}

func (t *tracer) TracePrepareStart(ctx context.Context, conn *pgx.Conn, data pgx.TracePrepareStartData) context.Context {
	ctx, _ = t.begin(ctx, conn, "PREPARE", func() (string, []attribute.KeyValue) {
		return "PREPARE", t.text(data.SQL, nil)
	})
	return ctx
}

func (t *tracer) TracePrepareEnd(ctx context.Context, _ *pgx.Conn, data pgx.TracePrepareEndData) {
	t.end(ctx, pgconn.CommandTag{}, data.Err)
}

// LogFields returns the ids of trace and span, under the names of OpenTelemetry's logs.
func (t *tracer) LogFields(ctx context.Context) []zap.Field {
	at := trace.SpanContextFromContext(ctx)
	if !at.IsValid() {
		return nil
	}
	return []zap.Field{zap.Stringer("trace_id", at.TraceID()), zap.Stringer("span_id", at.SpanID())}
}
