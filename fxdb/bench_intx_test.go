package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
)

// BenchmarkInTx runs a transaction of one statement over 1 ms of network: in two flights, and
// in the three flights of a BEGIN of its own.
func BenchmarkInTx(b *testing.B) {
	w := newWire(b, time.Millisecond)
	db, err := fxdb.Open(b.Context(), fxdb.Config{URL: w.URL, PoolMin: 1, PoolMax: 1})
	require.NoError(b, err)
	b.Cleanup(func() { _ = db.Close(context.Background()) })
	acme := as(b, "acme")
	inTx := func(prepare func(tx pgx.Tx)) func() error {
		return func() error {
			return db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
				prepare(tx)
				var n int
				return tx.QueryRow(acme, "select $1::int", 1).Scan(&n)
			})
		}
	}
	ways := []way{
		{"begin-alone", inTx(func(tx pgx.Tx) { tx.Conn() })},
		{"onepool", inTx(func(pgx.Tx) {})},
	}
	for i, flights := range []int64{3, 2} {
		require.NoError(b, ways[i].do())
		require.Equal(b, flights, w.during(b, ways[i].do), ways[i].name)
	}
	compareTimes(b, 1, 20, ways...)
}

// BenchmarkTimely runs statements that end before their deadline: the cost of the deadline's way
// to the server. The first way of each pair has a deadline behind the pool's limit of 30 s, which
// the server does not get.
func BenchmarkTimely(b *testing.B) {
	read := func(ctx context.Context, db *fxdb.DB) error {
		var n int
		return db.QueryRow(ctx, "select $1::int", 1).Scan(&n)
	}
	inTx := func(ctx context.Context, db *fxdb.DB) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			var n int
			return tx.QueryRow(ctx, "select $1::int", 1).Scan(&n)
		})
	}
	for _, c := range []struct {
		name, tenant string
		goroutines   int
		do           func(context.Context, *fxdb.DB) error
	}{
		{"statement", "", 1, read}, {"statement by 4", "", 4, read},
		{"statement of a tenant", "acme", 1, read}, {"statement of a tenant by 4", "acme", 4, read},
		{"InTx of a tenant", "acme", 1, inTx},
	} {
		b.Run(c.name, func(b *testing.B) {
			_, db := pools(b, 8)
			base := b.Context()
			if c.tenant != "" {
				base = as(b, c.tenant)
			}
			within := func(d time.Duration) func() error {
				return func() error {
					ctx, cancel := context.WithTimeout(base, d)
					defer cancel()
					return c.do(ctx, db)
				}
			}
			compare(b, c.goroutines, 100, way{"without", within(time.Hour)}, way{"deadline", within(29 * time.Second)})
		})
	}
}
