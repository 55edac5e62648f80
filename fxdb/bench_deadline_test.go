package fxdb_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/testkit"
)

// BenchmarkDeadline compares a bare pool, whose connections close when a deadline ends a
// statement, with fxdb, whose server ends the statement. One statement in ten runs into its
// deadline. The two pools take turns. The benchmark reports the statements that succeeded,
// the slowest hundredth of these, the connections opened, and how long after its deadline a
// late call came back.
func BenchmarkDeadline(b *testing.B) {
	const conns, callers, turn = 10, 16, time.Second
	base := notesDB(b, testkit.Config(one))
	db, err := fxdb.Open(b.Context(), fxdb.Config{URL: base.Pool().Config().ConnString(), PoolMin: conns, PoolMax: conns})
	require.NoError(b, err)
	b.Cleanup(func() { _ = db.Close(context.Background()) })
	bare := plainPool(b, base, func(pc *pgxpool.Config) { pc.MaxConns, pc.MinConns = conns, conns })
	ways := []*deadlineWay{{name: "pgxpool", asker: bare}, {name: "fxdb", asker: db}}
	for b.Loop() {
		for _, w := range ways {
			w.run(b.Context(), callers, turn)
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, w := range ways {
		slices.Sort(w.took)
		slices.Sort(w.late)
		b.ReportMetric(float64(len(w.took))/turn.Seconds()/float64(b.N), w.name+"-ok-per-s")
		b.ReportMetric(float64(w.took[len(w.took)*99/100].Microseconds())/1000, w.name+"-p99-ms")
		b.ReportMetric(float64(w.late[len(w.late)/2].Microseconds())/1000, w.name+"-late-ms")
	}
	b.ReportMetric(float64(len(ways[1].took))/float64(len(ways[0].took)), "fxdb/pgxpool")
	b.ReportMetric(float64(db.Stats().Opened-conns)/float64(b.N), "fxdb-opened")
}

type deadlineWay struct {
	name  string
	asker asker

	mu         sync.Mutex
	took, late []time.Duration
}

func (w *deadlineWay) run(ctx context.Context, callers int, turn time.Duration) {
	const limit = 30 * time.Millisecond
	end := time.Now().Add(turn)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for n := i; time.Now().Before(end); n++ {
				began := time.Now()
				if n%10 == 0 {
					late, cancel := context.WithTimeout(ctx, limit)
					_, _ = w.asker.Exec(late, "select pg_sleep(5)")
					cancel()
					w.add(&w.late, time.Since(began)-limit)
					continue
				}
				var got int
				if w.asker.QueryRow(ctx, "select $1::int", n).Scan(&got) == nil {
					w.add(&w.took, time.Since(began))
				}
			}
		})
	}
	all.Wait()
}

func (w *deadlineWay) add(to *[]time.Duration, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*to = append(*to, d)
}
