package fxdb_test

import (
	"context"
	"database/sql/driver"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

type panickingValue struct{}

func (panickingValue) Value() (driver.Value, error) { panic("value") }

type panickingRewriter struct{}

func (panickingRewriter) RewriteQuery(context.Context, *pgx.Conn, string, []any) (string, []any, error) {
	panic("rewriter")
}

type panickingScanner struct{}

func (panickingScanner) ScanRow(pgx.Rows) error { panic("scanner") }

func TestAPanicWhileSendingGivesTheConnectionBack(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	own := notesDB(t, testkit.Config(one))
	for name, args := range map[string][]any{"value": {panickingValue{}}, "rewriter": {panickingRewriter{}, 1}} {
		for send, do := range map[string]func(ctx context.Context, db *fxdb.DB){
			"Exec":     func(ctx context.Context, db *fxdb.DB) { _, _ = db.Exec(ctx, "select $1::text", args...) },
			"QueryRow": func(ctx context.Context, db *fxdb.DB) { _ = db.QueryRow(ctx, "select $1::text", args...).Scan(nil) },
			"Query":    func(ctx context.Context, db *fxdb.DB) { _, _ = db.Query(ctx, "select $1::text", args...) },
			"SendBatch": func(ctx context.Context, db *fxdb.DB) {
				b := &pgx.Batch{}
				b.Queue("select $1::text", args...)
				_ = db.SendBatch(ctx, b).Close()
			},
		} {
			for who, ctx := range map[string]context.Context{"tenant": as(t, "acme"), "none": t.Context()} {
				t.Run(name+"/"+send+"/"+who, func(t *testing.T) {
					db := own
					if send == "SendBatch" && who == "none" {
						db = another(t, own, "")
					}
					if send == "SendBatch" && who == "none" { // pgx panics once more on its way out
						require.Panics(t, func() { do(ctx, db) })
						require.Eventually(t, func() bool { return db.Stats().Active == 0 }, patience, 10*time.Millisecond) // it is closed instead
						return
					}
					require.PanicsWithValue(t, name, func() { do(ctx, db) })
					require.Zero(t, db.Stats().Active)
					requireClean(t, db)
				})
			}
		}
	}
}

func TestAPanicOfARowScannerEndsTheTrace(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	seen := &recorder{}
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMax: 1}, fxdb.WithTracer(seen))
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	require.PanicsWithValue(t, "scanner", func() {
		_ = db.QueryRow(as(t, "acme"), "select 1").Scan(panickingScanner{})
	})
	require.Zero(t, db.Stats().Active)
	require.Len(t, seen.lines, 2, "%v", seen.lines)
}

func TestARowIsScannedOnce(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	for _, ctx := range []context.Context{as(t, "acme"), t.Context()} {
		var n int
		row := db.QueryRow(ctx, "select 1")
		require.NoError(t, row.Scan(&n))
		require.Error(t, row.Scan(&n))
		require.Zero(t, db.Stats().Active)
	}
}

// panickingTracer panics where a batch, and so a tenant's BEGIN, starts or ends.
type panickingTracer struct {
	recorder
	at string
}

func (p *panickingTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	if d.SQL != "begin" {
		return ctx
	}
	if p.at == "query" || p.at == "start" {
		panic("tracer")
	}
	return context.WithValue(ctx, preparedKey{}, d.SQL)
}

func (p *panickingTracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if p.at == "end" && ctx.Value(preparedKey{}) == "begin" {
		panic("tracer")
	}
}

func TestAPanicWhileATransactionBeginsGivesTheConnectionBack(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	for _, at := range []string{"query", "start", "end"} {
		tracer := &panickingTracer{at: at}
		db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMax: 1}, fxdb.WithTracer(tracer))
		require.NoError(t, err)
		defer db.Close(context.WithoutCancel(t.Context()))
		ctx := as(t, "acme")
		if at == "query" {
			ctx = t.Context()
		}
		require.PanicsWithValue(t, "tracer", func() {
			tx, err := db.Begin(ctx)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
			_, _ = tx.Exec(ctx, "select 1")
		}, at)
		require.Empty(t, db.Monitor().Holders(), at)
		require.Eventually(t, func() bool { return db.Stats().Active == 0 }, patience, time.Millisecond, at) // it may be closed instead
		tracer.at = ""
		require.Empty(t, settingOf(t, db, t.Context(), tenant.TenantSetting), at)
		require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(pgx.Tx) error { return nil }), at)
	}
}
