package lifecycle_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

// deadline is the drain timeout of work that does not finish.
const deadline = 300 * time.Millisecond

// A drain promises 100 ms beyond its deadline, and that its backends are gone
// 250 ms later. On a busy machine the scheduler alone takes more, so what is
// asserted is wide enough that only a drain that waits for something fails it;
// what was measured is logged.
const (
	overhead  = 1500 * time.Millisecond
	lastTrace = 250*time.Millisecond + overhead
)

// world is what becomes of the work, or of the server under it.
type world struct {
	name     string
	finishes bool
	onset    func(*pgfault.Server, testing.TB) // right before the stop
	end      func(*pgfault.Server, testing.TB) // after it
	lost     bool                              // the server is no more
}

var worlds = []world{
	{name: "finishes", finishes: true},
	{name: "does not finish"},
	{name: "server frozen", onset: (*pgfault.Server).Freeze, end: (*pgfault.Server).Thaw},
	{name: "server gone", onset: (*pgfault.Server).Kill, lost: true},
}

// TestDrainIsBounded holds every kind of work, alone and all at once, against a
// stop in every world: the drain keeps its bound, names the holders that it cuts
// off and only these, keeps what was committed, and leaves neither a backend nor
// a goroutine.
//
// Not parallel: goroutines are counted.
func TestDrainIsBounded(t *testing.T) {
	servers := make(chan struct{}, 4)
	for _, w := range worlds {
		ignore := goleak.IgnoreCurrent()
		t.Run(w.name, func(t *testing.T) {
			run := func(name string, flights ...flight) {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					servers <- struct{}{}
					defer func() { <-servers }()
					stopInFlight(t, w, flights)
				})
			}
			for _, f := range flights {
				run(f.name, f)
			}
			run("all at once", flights...)
		})
		goleak.VerifyNone(t, ignore)
	}
}

// cell is a pool on a server of its own.
type cell struct {
	*pgfault.Server
	m     *lifecycle.Monitor
	admin *pgx.Conn
	gate  chan struct{} // what flights wait for in the client
	once  sync.Once     // closes it
}

// gateKey names what flights wait for in the server: a lock, and a channel.
const gateKey = 42

func newCell(t *testing.T) *cell {
	c := &cell{Server: pgfault.Start(t), gate: make(chan struct{})}
	var err error
	c.admin, err = pgx.Connect(t.Context(), c.URL())
	require.NoError(t, err)
	// A clean close would wait for a server that does not answer.
	t.Cleanup(func() { c.admin.PgConn().Conn().Close() })
	t.Cleanup(c.openGate)
	_, err = c.admin.Exec(t.Context(), fmt.Sprintf("create table work (flight text, state text); select pg_advisory_lock(%d)", gateKey))
	require.NoError(t, err)
	c.m = newMonitor(t, c.URL(), func(cfg *lifecycle.Config) { cfg.Pool.MaxConns = int32(len(flights)) + 1 })
	require.NoError(t, c.m.Start(t.Context()))
	return c
}

func (c *cell) openGate() { c.once.Do(func() { close(c.gate) }) }

// letFinish opens the gate on both sides.
func (c *cell) letFinish(t *testing.T) {
	c.openGate()
	_, err := c.admin.Exec(t.Context(), fmt.Sprintf("select pg_advisory_unlock(%[1]d), pg_notify('gate_%[1]d', '')", gateKey))
	require.NoError(t, err)
}

func (c *cell) backends(t *testing.T) (n int) {
	require.NoError(t, c.admin.QueryRow(t.Context(),
		"select count(*) from pg_stat_activity where application_name = $1", applicationName).Scan(&n))
	return n
}

func stopInFlight(t *testing.T, w world, flights []flight) {
	c := newCell(t)
	var all []*flying
	for _, f := range flights {
		all = append(all, takeOff(t, c, f))
	}
	if w.onset != nil {
		w.onset(c.Server, t)
	}

	report, err := c.stop(t, w, all)
	var cut []*flying
	for _, f := range all {
		notices := w.lost && f.waits != ""
		if !w.finishes && !notices {
			cut = append(cut, f)
		}
	}
	requireReport(t, report, err, cut)
	if !w.lost {
		require.Equal(t, len(all), report.InUse)
	}

	stopped := time.Now()
	if w.end != nil {
		w.end(c.Server, t)
	}
	if !w.lost {
		require.Eventually(t, func() bool { return c.backends(t) == 0 }, lastTrace, time.Millisecond, "backends are left on the server")
		t.Logf("backends gone after %s", time.Since(stopped).Round(time.Millisecond))
		requireRows(t, c, all, w.finishes)
	}
	c.openGate()
	land(t, all, w.finishes)
}

// land waits for the flights' ends. Those that were cut off go on to use their
// connections, which fails and does no harm.
func land(t *testing.T, all []*flying, finished bool) {
	for _, f := range all {
		<-f.landed
		require.Equal(t, finished, f.err == nil, "%s: %v", f.name, f.err)
	}
}

// stop drains, and holds the time it takes against its bound.
func (c *cell) stop(t *testing.T, w world, all []*flying) (lifecycle.Report, error) {
	if !w.finishes {
		began := time.Now()
		report, err := lifecycle.Drain(t.Context(), c.m, deadline)
		elapsed := time.Since(began)
		if err != nil {
			require.GreaterOrEqual(t, elapsed, deadline, "work in flight got no chance")
		}
		require.Less(t, elapsed, deadline+overhead)
		t.Logf("drain ended %s after its deadline", (elapsed - deadline).Round(time.Millisecond))
		return report, err
	}
	var report lifecycle.Report
	drained := make(chan error, 1)
	go func() {
		var err error
		report, err = lifecycle.Drain(t.Context(), c.m, time.Minute)
		drained <- err
	}()
	require.Eventually(t, c.m.Draining, time.Minute, time.Millisecond)
	c.letFinish(t)
	land(t, all, true)
	finished := time.Now()
	err := <-drained
	elapsed := time.Since(finished)
	require.Less(t, elapsed, overhead)
	t.Logf("drain ended %s after the work", elapsed.Round(time.Millisecond))
	return report, err
}

// requireReport holds what a drain said against who was in flight.
func requireReport(t *testing.T, r lifecycle.Report, err error, cut []*flying) {
	if len(cut) == 0 {
		require.NoError(t, err)
		require.Empty(t, r.Cut)
		return
	}
	var drainErr *lifecycle.DrainError
	require.ErrorAs(t, err, &drainErr)
	require.Equal(t, r, drainErr.Report)
	byPID := make(map[uint32]lifecycle.Holder)
	for _, h := range r.Cut {
		byPID[h.PID] = h
	}
	for _, f := range cut {
		h, ok := byPID[f.pid]
		require.True(t, ok, "%s: not named in: %v", f.name, err)
		client, tenant := f.name, "acme"
		if f.raw {
			client, tenant = "raw pool", ""
		}
		require.Equal(t, client, h.Client)
		require.Equal(t, tenant, h.Tenant)
		require.Equal(t, f.query, h.Query)
		require.Contains(t, h.Caller, "drain_flights_test.go:")
		require.ErrorContains(t, err, h.String())
	}
	require.Len(t, r.Cut, len(cut))
}

// requireRows holds what is in the table against what was committed.
func requireRows(t *testing.T, c *cell, all []*flying, finished bool) {
	var want []string
	for _, f := range all {
		want = append(want, f.name+" committed")
		if f.writes && finished {
			want = append(want, f.name+" written")
		}
	}
	rows, err := c.admin.Query(t.Context(), "select flight || ' ' || state from work")
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.ElementsMatch(t, want, got)
}
