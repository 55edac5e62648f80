package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// BenchmarkSessionCheck shows the price of DB_SESSION_CHECK: a row of a tenant, a transaction, and
// a row of the raw pool, which has no scope that takes the look along. In a full pool each use waits
// for the look behind the use before.
func BenchmarkSessionCheck(b *testing.B) {
	for _, c := range []struct {
		name                   string
		delay                  time.Duration
		conns, goroutines, run int
	}{
		{"one", 0, 8, 1, 200}, {"eight", 0, 8, 8, 50},
		{"full", 0, 1, 4, 50}, {"full-1ms", time.Millisecond, 1, 4, 5},
	} {
		for name, use := range map[string]func(ctx context.Context, db *fxdb.DB) error{
			"row": func(ctx context.Context, db *fxdb.DB) error {
				return db.QueryRow(ctx, "select $1::int", 1).Scan(new(int))
			},
			"tx": func(ctx context.Context, db *fxdb.DB) error {
				return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return tx.QueryRow(ctx, "select $1::int", 1).Scan(new(int)) })
			},
			"raw": func(ctx context.Context, db *fxdb.DB) error {
				return db.Pool().QueryRow(context.WithoutCancel(tenant.System(b.Context(), "raw")), "select $1::int", 1).Scan(new(int))
			},
		} {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				w := newWire(b, c.delay)
				ways := make([]way, 2)
				for i, check := range []bool{false, true} {
					db, err := fxdb.Open(b.Context(), fxdb.Config{URL: w.URL, PoolMin: 1, PoolMax: c.conns, SessionCheck: check})
					require.NoError(b, err)
					b.Cleanup(func() { _ = db.Close(context.Background()) })
					acme := as(b, "acme")
					ways[i] = way{[]string{"without", "checked"}[i], func() error { return use(acme, db) }}
				}
				compare(b, c.goroutines, c.run, ways...)
			})
		}
	}
}
