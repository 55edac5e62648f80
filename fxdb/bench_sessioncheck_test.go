package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
)

// BenchmarkSessionCheck shows the price of DB_SESSION_CHECK: a row of a tenant, without a
// waiter, over a distance in a full pool of one connection, and in a transaction.
func BenchmarkSessionCheck(b *testing.B) {
	for _, c := range []struct {
		name                   string
		delay                  time.Duration
		conns, goroutines, run int
	}{
		{"nobody waits", 0, 8, 1, 200}, {"8 goroutines, 8 connections", 0, 8, 8, 50},
		{"4 goroutines, 1 connection", 0, 1, 4, 50}, {"4 goroutines, 1 connection, 1 ms", time.Millisecond, 1, 4, 5},
	} {
		b.Run(c.name, func(b *testing.B) {
			w := newWire(b, c.delay)
			open := func(check bool) *fxdb.DB {
				db, err := fxdb.Open(b.Context(), fxdb.Config{URL: w.URL, PoolMin: 1, PoolMax: c.conns, SessionCheck: check})
				require.NoError(b, err)
				b.Cleanup(func() { _ = db.Close(context.Background()) })
				return db
			}
			acme := as(b, "acme")
			row := func(db *fxdb.DB) func() error {
				return func() error { return db.QueryRow(acme, "select $1::int", 1).Scan(new(int)) }
			}
			tx := func(db *fxdb.DB) func() error {
				return func() error {
					return db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error { return tx.QueryRow(acme, "select $1::int", 1).Scan(new(int)) })
				}
			}
			without, with := open(false), open(true)
			compare(b, c.goroutines, c.run, way{"row", row(without)}, way{"row-checked", row(with)})
			compare(b, c.goroutines, c.run, way{"tx", tx(without)}, way{"tx-checked", tx(with)})
		})
	}
}
