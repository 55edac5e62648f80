package fxdbsql_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
)

// BenchmarkQueryRow reads one row as users of database/sql do: by pgx's stdlib over
// a bare pool, and by this package without and with a tenant, in turns on one
// server. beside is *fxdb.DB with the tenant, without database/sql.
func BenchmarkQueryRow(b *testing.B) {
	pool, _ := open(b)
	url := pool.Pool().Config().ConnString()
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(b, err)
	cfg.ConnConfig.RuntimeParams = pool.Pool().Config().ConnConfig.RuntimeParams
	bare, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(bare.Close)
	std := stdlib.OpenDBFromPool(bare)
	b.Cleanup(func() { std.Close() })
	own, err := fxdb.Open(b.Context(), fxdb.Config{URL: url, PoolMax: 4}) // as in production, without WithCallSites
	require.NoError(b, err)
	b.Cleanup(func() { own.Close(context.Background()) })
	db := over(b, own)

	ctx, acme := b.Context(), as(b, "acme")
	var n int
	const query = "select $1::int"
	ways := []struct {
		name string
		do   func() error
	}{
		{"stdlib", func() error { return std.QueryRowContext(ctx, query, 1).Scan(&n) }},
		{"fxdbsql", func() error { return db.QueryRowContext(ctx, query, 1).Scan(&n) }},
		{"tenant", func() error { return db.QueryRowContext(acme, query, 1).Scan(&n) }},
		{"beside", func() error { return own.QueryRow(acme, query, 1).Scan(&n) }},
	}
	spent := make([]time.Duration, len(ways))
	for b.Loop() {
		for i, w := range ways {
			began := time.Now()
			if err := w.do(); err != nil {
				b.Fatal(w.name, err)
			}
			spent[i] += time.Since(began)
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, w := range ways {
		b.ReportMetric(float64(spent[i].Nanoseconds())/float64(b.N), w.name+"-ns")
		if i > 0 {
			b.ReportMetric(spent[i].Seconds()/spent[0].Seconds(), w.name+"/"+ways[0].name)
		}
		b.ReportMetric(testing.AllocsPerRun(1000, func() { _ = w.do() }), w.name+"-allocs")
	}
}
