package fxdb_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
)

func TestTracersSeeScopedStatementsAsTheirCallersWroteThem(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	seen := &recorder{}
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMax: 1}, fxdb.WithTracer(seen))
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	acme := as(t, "acme")
	var n int
	require.NoError(t, db.QueryRow(acme, "select $1::int", 1).Scan(&n))
	_, err = db.Exec(acme, "select 1/0")
	require.Error(t, err)
	require.NoError(t, batchOf(acme, db, "select 2", "select 3"))
	require.Error(t, batchOf(acme, db, "select 4", "select 5/0", "select 6"))
	require.Equal(t, []string{
		"start select $1::int", "end SELECT 1 <nil>",
		"start select 1/0", "end  22012",
		"batch of 2", "of batch select 2 <nil>", "of batch select 3 <nil>", "batch end <nil>",
		"batch of 3", "of batch select 4 <nil>", "of batch select 5/0 22012", "batch end 22012",
	}, seen.lines)
}

func TestTracersSeeTheSamePreparationsWithATenantAsWithout(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	lines := make(map[string][]string)
	for who, ctx := range map[string]context.Context{"nobody": tenant.System(t.Context(), "test"), "a tenant": as(t, "acme")} {
		seen := &preparations{}
		db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMax: 1}, fxdb.WithTracer(seen))
		require.NoError(t, err)
		defer db.Close(context.WithoutCancel(t.Context()))
		seen.lines = nil // of the start
		for range 2 {
			var n int
			require.NoError(t, db.QueryRow(ctx, "select $1::int", 1).Scan(&n))
			rows, err := db.Query(ctx, "select $1::int", pgx.QueryExecModeCacheDescribe, 2)
			require.NoError(t, err)
			rows.Close()
			_, err = db.Exec(ctx, "select $1::int from missing", 1)
			require.Error(t, err)
			require.NoError(t, batchOf(ctx, db, "select 3")) // pgx traces no empty batch
		}
		lines[who] = seen.lines
	}
	require.Contains(t, lines["nobody"], "start select $1::int")
	require.Equal(t, lines["nobody"], lines["a tenant"])
}

// preparations records the calls of a pgx tracer for preparations.
type preparations struct{ recorder }

func (p *preparations) TracePrepareStart(ctx context.Context, _ *pgx.Conn, d pgx.TracePrepareStartData) context.Context {
	p.add("start %s", d.SQL)
	return context.WithValue(ctx, preparedKey{}, d.SQL)
}

type preparedKey struct{}

func (p *preparations) TracePrepareEnd(ctx context.Context, _ *pgx.Conn, d pgx.TracePrepareEndData) {
	p.add("end %s %v %s", ctx.Value(preparedKey{}), d.AlreadyPrepared, codeOf(d.Err))
}

func (*preparations) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (*preparations) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (*preparations) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (*preparations) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (*preparations) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// recorder records the calls of a pgx tracer.
type recorder struct{ lines []string }

func (r *recorder) add(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	if _, ok := tenant.FromContext(ctx); ok { // not the start's own
		r.add("start %s", d.SQL)
	}
	return ctx
}

func (r *recorder) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryEndData) {
	if _, ok := tenant.FromContext(ctx); ok {
		r.add("end %s %s", d.CommandTag, codeOf(d.Err))
	}
}

func (r *recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	r.add("batch of %d", d.Batch.Len())
	return ctx
}

func (r *recorder) TraceBatchQuery(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	r.add("of batch %s %s", d.SQL, codeOf(d.Err))
}

func (r *recorder) TraceBatchEnd(_ context.Context, _ *pgx.Conn, d pgx.TraceBatchEndData) {
	r.add("batch end %s", codeOf(d.Err))
}

// everything records all calls of a pgx tracer, without the pool's own statements.
type everything struct{ recorder }

type ownKey struct{}

func (e *everything) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	if ctx.Value(ownKey{}) == nil {
		return ctx
	}
	e.add("start %s %v", d.SQL, d.Args)
	return context.WithValue(ctx, preparedKey{}, d.SQL)
}

func (e *everything) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryEndData) {
	if ctx.Value(ownKey{}) != nil {
		e.add("end of %v %s %s", ctx.Value(preparedKey{}), d.CommandTag, codeOf(d.Err))
	}
}

func (e *everything) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceCopyFromStartData) context.Context {
	e.add("copy %s %v", d.TableName.Sanitize(), d.ColumnNames)
	return context.WithValue(ctx, preparedKey{}, "copy")
}

func (e *everything) TraceCopyFromEnd(ctx context.Context, conn *pgx.Conn, d pgx.TraceCopyFromEndData) {
	e.add("end of %v %s %s %v", ctx.Value(preparedKey{}), d.CommandTag, codeOf(d.Err), conn != nil)
}

func TestTracersSeeACopyAndABeginWithATenantAsWithout(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	lines := make(map[string][]string)
	for _, mode := range []string{"cache_statement", "simple_protocol", "exec"} {
		for who, ctx := range map[string]context.Context{"nobody": tenant.System(within(t), "test"), "a tenant": as(t, "acme")} {
			seen := &everything{}
			db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t) + "&default_query_exec_mode=" + mode, PoolMax: 1}, fxdb.WithTracer(seen))
			require.NoError(t, err)
			defer db.Close(context.WithoutCancel(t.Context()))
			ctx = context.WithValue(ctx, ownKey{}, true)
			_, err = db.Exec(ctx, "select") // of the start, and of preparing the scope
			require.NoError(t, err)
			seen.lines = nil
			table, columns := pgx.Identifier{"notes", "plain"}, []string{"id", "body"}
			copyTo := func(db interface {
				CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
			}, id any) error {
				_, err := db.CopyFrom(ctx, table, columns, pgx.CopyFromRows([][]any{{id, fmt.Sprint(id)}}))
				return err
			}
			require.NoError(t, copyTo(db, 1))
			require.Error(t, copyTo(db, 1))
			rows := make([][]any, 10_001) // more than one round trip's
			for i := range rows {
				rows[i] = []any{i + 10, fmt.Sprint(i + 10)}
			}
			_, err = db.CopyFrom(ctx, table, columns, pgx.CopyFromRows(rows))
			require.NoError(t, err)
			require.NoError(t, db.InTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "select 1"); err != nil {
					return err
				}
				return copyTo(tx, 2)
			}))
			tx, err := db.BeginTx(ctx, pgx.TxOptions{BeginQuery: "begin"})
			require.NoError(t, err)
			require.NoError(t, tx.Rollback(ctx))
			require.Error(t, db.InTx(ctx, pgx.TxOptions{IsoLevel: "no such level"}, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "select 1")
				return err
			}))
			lines[who] = seen.lines
		}
		require.Contains(t, lines["nobody"], "start begin isolation level serializable []")
		require.Equal(t, lines["nobody"], lines["a tenant"], mode)
	}
}
