package fxdb_test

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/testkit"
)

// BenchmarkCancel compares what pgx can do when a context ends during a statement:
// close the connection, which is its default and ours, or ask the server to cancel
// and keep it. One statement in a hundred runs into its deadline. Two bare pools take
// turns; it reports the throughput, how long after its deadline a call came back, and
// how many connections were opened.
func BenchmarkCancel(b *testing.B) {
	const conns, callers, turn = 20, 64, time.Second
	url := notesDB(b, testkit.Config(one)).Pool().Config().ConnString()
	policies := []*cancelPolicy{
		{name: "close"},
		{name: "cancel", handler: func(c *pgconn.PgConn) ctxwatch.Handler {
			return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: time.Second}
		}},
	}
	for _, p := range policies {
		cfg, err := pgxpool.ParseConfig(url)
		require.NoError(b, err)
		cfg.MaxConns, cfg.MinConns = conns, conns
		if p.handler != nil {
			cfg.ConnConfig.BuildContextWatcherHandler = p.handler
		}
		p.pool, err = pgxpool.NewWithConfig(b.Context(), cfg)
		require.NoError(b, err)
		b.Cleanup(p.pool.Close)
		p.run(b.Context(), callers, turn/5) // warm
		p.done.Store(0)
		p.late, p.opened = nil, p.pool.Stat().NewConnsCount()
	}
	for b.Loop() {
		for _, p := range policies {
			p.run(b.Context(), callers, turn)
		}
	}
	b.ReportMetric(0, "ns/op")
	for _, p := range policies {
		slices.Sort(p.late)
		b.ReportMetric(float64(p.done.Load())/turn.Seconds()/float64(b.N), p.name+"-per-s")
		b.ReportMetric(float64(p.late[len(p.late)/2].Microseconds())/1000, p.name+"-late-ms")
		b.ReportMetric(float64(p.late[len(p.late)*99/100].Microseconds())/1000, p.name+"-late-p99-ms")
		b.ReportMetric(float64(p.pool.Stat().NewConnsCount()-p.opened)/turn.Seconds()/float64(b.N), p.name+"-opened-per-s")
	}
	b.ReportMetric(float64(policies[1].done.Load())/float64(policies[0].done.Load()), "cancel/close")
}

type cancelPolicy struct {
	name    string
	handler func(*pgconn.PgConn) ctxwatch.Handler
	pool    *pgxpool.Pool
	opened  int64
	done    atomic.Int64

	mu   sync.Mutex
	late []time.Duration // how long after their deadlines calls came back
}

// run keeps the callers busy for a time. A call that is to run into its deadline
// sleeps on the server, and its deadline begins when it has its connection.
func (p *cancelPolicy) run(ctx context.Context, callers int, turn time.Duration) {
	end := time.Now().Add(turn)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for n := i; time.Now().Before(end); n++ {
				if n%100 != 0 {
					var got int
					if p.pool.QueryRow(ctx, "select $1::int", n).Scan(&got) == nil {
						p.done.Add(1)
					}
					continue
				}
				p.runLate(ctx)
			}
		})
	}
	all.Wait()
}

func (p *cancelPolicy) runLate(ctx context.Context) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return
	}
	defer conn.Release()
	deadline := time.Now().Add(5 * time.Millisecond)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	_, err = conn.Exec(ctx, "select pg_sleep(10)")
	if err == nil {
		return
	}
	late := time.Since(deadline)
	p.mu.Lock()
	p.late = append(p.late, late)
	p.mu.Unlock()
}
