package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/testkit"
)

// pools returns the same database through a bare pgxpool and through a *DB.
func pools(b *testing.B) (*pgxpool.Pool, *fxdb.DB) {
	b.Helper()
	url := notesDB(b, testkit.Config(one)).Pool().Config().ConnString()
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(b, err)
	// The same limits on the server: they cost there, not here.
	cfg.ConnConfig.RuntimeParams = fxdb.ConnConfig(b, fxdb.Config{URL: url}).ConnConfig.RuntimeParams
	bare, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(bare.Close)
	db, err := fxdb.Open(b.Context(), fxdb.Config{URL: url, PoolMax: 4})
	require.NoError(b, err)
	b.Cleanup(func() { db.Close(context.Background()) })
	return bare, db
}

// way is one way to do what the bare pool does.
type way struct {
	name string
	do   func() error
}

// compare times the ways in turns, so that whatever else the machine does meets
// all of them, run times each so that reading the clock does not count, and
// reports each one's time as a multiple of the first one's.
func compare(b *testing.B, run int, ways ...way) {
	b.Helper()
	spent := make([]time.Duration, len(ways))
	for b.Loop() {
		for i, w := range ways {
			began := time.Now()
			for range run {
				if err := w.do(); err != nil {
					b.Fatal(w.name, err)
				}
			}
			spent[i] += time.Since(began)
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, w := range ways {
		b.ReportMetric(float64(spent[i].Nanoseconds())/float64(b.N*run), w.name+"-ns")
		if i > 0 {
			b.ReportMetric(spent[i].Seconds()/spent[0].Seconds(), w.name+"/"+ways[0].name)
		}
		b.ReportMetric(testing.AllocsPerRun(1000, func() { _ = w.do() }), w.name+"-allocs")
	}
}

// BenchmarkAcquire takes a connection and gives it back.
func BenchmarkAcquire(b *testing.B) {
	bare, db := pools(b)
	ctx := b.Context()
	acquire := func(acquire func(context.Context) (*pgxpool.Conn, error)) func() error {
		return func() error {
			conn, err := acquire(ctx)
			if err == nil {
				conn.Release()
			}
			return err
		}
	}
	compare(b, 64, way{"bare", acquire(bare.Acquire)}, way{"onepool", acquire(db.Acquire)})
}

// BenchmarkQueryRow reads one row by one round trip, with and without a tenant.
func BenchmarkQueryRow(b *testing.B) {
	bare, db := pools(b)
	ctx, acme := b.Context(), as(b, "acme")
	var n int
	compare(b, 1,
		way{"bare", func() error { return bare.QueryRow(ctx, "select $1::int", 1).Scan(&n) }},
		way{"onepool", func() error { return db.QueryRow(ctx, "select $1::int", 1).Scan(&n) }},
		way{"tenant", func() error { return db.QueryRow(acme, "select $1::int", 1).Scan(&n) }})
}
