package fxdb_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

type traceKey struct{}

func traced(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, traceKey{}, id)
}

func traceOf(ctx context.Context) string {
	id, _ := ctx.Value(traceKey{}).(string)
	return id
}

const askTrace = "select coalesce(current_setting('app.trace_id', true), '')"

func TestAStatementCarriesItsTraceID(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	db := w.openToCount(t, fxdb.WithTraceID(traceOf))
	for who, base := range map[string]context.Context{"a tenant": as(t, "acme"), "no tenant": t.Context()} {
		for way, c := range map[string]struct {
			flights int64
			ask     func(ctx context.Context, id *string) error
		}{
			"QueryRow": {1, func(ctx context.Context, id *string) error { return db.QueryRow(ctx, askTrace).Scan(id) }},
			"Query": {1, func(ctx context.Context, id *string) (err error) {
				rows, err := db.Query(ctx, askTrace)
				if err == nil {
					*id, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
				}
				return err
			}},
			"SendBatch": {1, func(ctx context.Context, id *string) error {
				b := &pgx.Batch{}
				b.Queue("select 1")
				b.Queue(askTrace).QueryRow(func(row pgx.Row) error { return row.Scan(id) })
				return db.SendBatch(ctx, b).Close()
			}},
			"InTx": {2, func(ctx context.Context, id *string) error {
				return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return tx.QueryRow(t.Context(), askTrace).Scan(id) })
			}},
		} {
			var id string
			require.NoError(t, c.ask(traced(base, "warm"), &id), way)
			require.Equal(t, "warm", id, "%s with %s", way, who)
			require.Equal(t, c.flights, w.during(t, func() error { return c.ask(traced(base, "4bf92f35"), &id) }), "%s with %s", way, who)
			require.Equal(t, "4bf92f35", id, "%s with %s", way, who)
			require.NoError(t, c.ask(base, &id), way)
			require.Empty(t, id, "%s with %s: the next statement has no trace", way, who)
		}
	}
}

// A trigger writes the trace id of the statement into the row.
func TestATriggerReadsTheTraceID(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	base := notesDB(t)
	_, err := testkit.OwnerPool(t, base).Exec(t.Context(), `
		alter table notes.notes add trace text;
		create function notes.stamp() returns trigger language plpgsql as $$
			begin new.trace := nullif(current_setting('app.trace_id', true), ''); return new; end $$;
		create trigger stamp before insert on notes.notes for each row execute function notes.stamp()`)
	require.NoError(t, err)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: base.Pool().Config().ConnString(), PoolMax: 1}, fxdb.WithTraceID(traceOf))
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	acme := as(t, "acme")
	_, err = db.Exec(traced(acme, "t1"), "insert into notes.notes (body) values ('exec')")
	require.NoError(t, err)
	_, err = db.CopyFrom(traced(acme, "t2"), pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows([][]any{{"copy"}}))
	require.NoError(t, err)
	_, err = db.Exec(acme, "insert into notes.notes (body) values ('none')")
	require.NoError(t, err)
	var traces string
	require.NoError(t, db.QueryRow(acme, "select string_agg(body || '=' || coalesce(trace, ''), ' ' order by id) from notes.notes").Scan(&traces))
	require.Equal(t, "exec=t1 copy=t2 none=", traces)
}

func TestABadTraceIDIsLeftOutAndLoggedOnce(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.WarnLevel)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: notesDB(t).Pool().Config().ConnString(), PoolMax: 1},
		fxdb.WithTraceID(traceOf), fxdb.WithLogger(zap.New(core)))
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	for _, id := range []string{"a\nb", "nul\x00", "ü", "\xff", "del\x7f", strings.Repeat("x", 129)} {
		var got string
		require.NoError(t, db.QueryRow(traced(as(t, "acme"), id), askTrace).Scan(&got), "%q", id)
		require.Empty(t, got, "%q", id)
	}
	require.Equal(t, 1, logs.FilterMessageSnippet("a trace id is longer").Len())
	long := strings.Repeat("y", 128)
	var got string
	require.NoError(t, db.QueryRow(traced(t.Context(), long), askTrace).Scan(&got))
	require.Equal(t, long, got)
}

func TestAGraphGivesItsPoolsATraceID(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, testkit.Swap(t), fxdb.TraceID(traceOf), fx.Populate(&db))
	app.RequireStart()
	defer app.RequireStop()
	var id string
	require.NoError(t, db.QueryRow(traced(t.Context(), "t1"), askTrace).Scan(&id))
	require.Equal(t, "t1", id)

	for want, opts := range map[string][]fx.Option{
		"fxdb.TraceID is given twice":       {fxdb.TraceID(traceOf), fxdb.TraceID(traceOf)},
		"fxdb.TraceID: the function is nil": {fxdb.TraceID(nil)},
	} {
		err := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: "postgres://h/d"}), fx.Options(opts...)).Err()
		require.ErrorContains(t, err, want)
	}
}
