package fxdb_test

import (
	"context"
	"database/sql/driver"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
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
	t.Parallel()
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
					t.Parallel()
					db := notesDB(t, testkit.Config(one))
					if send == "SendBatch" && who == "none" { // pgx panics once more on its way out
						require.Panics(t, func() { do(ctx, db) })
						require.Eventually(t, func() bool { return db.Stats().Active == 0 }, 5*time.Second, 10*time.Millisecond) // it is closed instead
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
