package fxdb_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// pools returns the same database through a bare pgxpool and through a *DB, of so many
// connections.
func pools(b *testing.B, conns int) (*pgxpool.Pool, *fxdb.DB) {
	b.Helper()
	url := notesDB(b, testkit.Config(one)).Pool().Config().ConnString()
	cfg, err := pgxpool.ParseConfig(url)
	require.NoError(b, err)
	// The same limits on the server: they cost there, not here.
	cfg.ConnConfig.RuntimeParams = fxdb.ConnConfig(b, fxdb.Config{URL: url}).ConnConfig.RuntimeParams
	cfg.MaxConns = int32(conns)
	bare, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(bare.Close)
	db, err := fxdb.Open(b.Context(), fxdb.Config{URL: url, PoolMax: conns})
	require.NoError(b, err)
	b.Cleanup(func() { db.Close(context.Background()) })
	return bare, db
}

// way is one way to do what the bare pool does.
type way struct {
	name string
	do   func() error
}

// compare runs the ways in turns, each time run times on each goroutine, and reports
// each one's median time of an operation, and as a multiple of the first one's in the
// same turn: a burst of something else on the machine spoils a turn, not the median.
// Too short a run counts the caches that the other ways' backends left cold.
func compare(b *testing.B, goroutines, run int, ways ...way) {
	b.Helper()
	compareTimes(b, goroutines, run, ways...)
	for _, w := range ways {
		b.ReportMetric(testing.AllocsPerRun(1000, func() { _ = w.do() }), w.name+"-allocs")
	}
}

// compareTimes is compare for what is too long to count its allocations.
func compareTimes(b *testing.B, goroutines, run int, ways ...way) {
	b.Helper()
	spent := make([][]float64, len(ways)) // ns, by turn
	for first := 0; b.Loop(); first++ {   // who comes behind whom counts
		for k := range ways {
			i := (first + k) % len(ways)
			w := ways[i]
			var all errgroup.Group
			began := time.Now()
			for range goroutines {
				all.Go(func() (err error) {
					for n := 0; n < run && err == nil; n++ {
						err = w.do()
					}
					return err
				})
			}
			require.NoError(b, all.Wait(), w.name)
			spent[i] = append(spent[i], float64(time.Since(began).Nanoseconds())/float64(run*goroutines))
		}
	}
	b.ReportMetric(0, "ns/op")
	for i, w := range ways {
		ratios := make([]float64, len(spent[i]))
		for turn, ns := range spent[i] {
			ratios[turn] = ns / spent[0][turn]
		}
		b.ReportMetric(median(spent[i]), w.name+"-ns")
		if i > 0 {
			b.ReportMetric(median(ratios), w.name+"/"+ways[0].name)
		}
	}
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}

// BenchmarkAcquire takes a connection and gives it back.
func BenchmarkAcquire(b *testing.B) {
	bare, db := pools(b, 8)
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
	compare(b, 1, 1000, way{"bare", acquire(bare.Acquire)}, way{"onepool", acquire(db.Acquire)})
}

// BenchmarkQueryRow reads one row by one round trip: from a pool without tenants, and from a pool
// with tenants as a tenant and as nobody. The benchmark runs on fewer goroutines than there are
// connections, and on many more.
func BenchmarkQueryRow(b *testing.B) {
	for _, c := range []struct {
		name                   string
		conns, goroutines, run int
	}{{"nobody waits", 8, 4, 100}, {"128 goroutines, 20 connections", 20, 128, 40}} {
		b.Run(c.name, func(b *testing.B) {
			bare, db := pools(b, c.conns)
			_, tenants := pools(b, c.conns)
			ctx, acme, system := b.Context(), as(b, "acme"), tenant.System(b.Context(), "benchmark")
			read := func(row pgx.Row) error {
				var n int
				return row.Scan(&n)
			}
			compare(b, c.goroutines, c.run,
				way{"bare", func() error { return read(bare.QueryRow(ctx, "select $1::int", 1)) }},
				way{"onepool", func() error { return read(db.QueryRow(ctx, "select $1::int", 1)) }},
				way{"tenant", func() error { return read(tenants.QueryRow(acme, "select $1::int", 1)) }},
				way{"system", func() error { return read(tenants.QueryRow(system, "select $1::int", 1)) }})
		})
	}
}
