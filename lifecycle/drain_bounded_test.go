package lifecycle_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// deadline is the drain timeout of work that does not finish.
const deadline = 100 * time.Millisecond

// world is what becomes of the work, or of the server under it.
type world struct {
	name     string
	finishes bool
	onset    func(*server, testing.TB) // right before the stop
	end      func(*server, testing.TB) // after it
	lost     bool                      // the server is no more
	short    int                       // which third of the kinds meets it in the short size; -1: all
}

var worlds = []world{
	{name: "finishes", finishes: true, short: 0},
	{name: "does not finish", short: -1},
	{
		name:  "server frozen",
		short: 1,
		onset: func(s *server, t testing.TB) { s.Freeze(t) },
		end:   func(s *server, t testing.TB) { s.Thaw(t) },
	},
	{name: "server gone", onset: func(s *server, t testing.TB) { s.Kill(t) }, lost: true, short: 2},
}

// TestDrainIsBounded holds every kind of work, alone and all at once, against a
// stop in every world: the drain ends, names the holders that it cuts off and only
// these, keeps what was committed, and leaves neither a backend nor a goroutine.
// How long each takes beyond its deadline is logged: 100 ms are promised, and 250
// more until the backends are gone.
//
// In the usual size all kinds at once meet all worlds; in a soak each kind alone does
// too. In the short size each kind meets two
// worlds: the one that has to be cut off, and another.
//
// Not parallel: goroutines are counted.
func TestDrainIsBounded(t *testing.T) {
	shared, own := sharedServer(t), ownServer(t) // their goroutines stay
	for _, w := range worlds {
		ignore := goleak.IgnoreCurrent()
		t.Run(w.name, func(t *testing.T) {
			together := &cell{what: "all at once"}
			cells := []*cell{together}
			for j, f := range flights {
				if size.Of(w.short < 0 || j%3 == w.short, true, true) {
					together.kinds = append(together.kinds, f)
				}
				if size.Of(false, false, true) {
					cells = append(cells, &cell{what: f.name, kinds: []flight{f}})
				}
			}
			s := shared
			if w.onset != nil {
				s = own
			}
			stopInFlight(t, s, w, cells)
			if w.end != nil && !testing.Short() {
				drainWhatNobodyHolds(t, own)
			}
		})
		require.NoError(t, leaked(ignore), w.name)
	}
}

// cell is a pool on a database of its own, with work in flight.
type cell struct {
	what  string
	kinds []flight

	*database
	m       *lifecycle.Monitor
	gate    chan struct{} // what flights wait for in the client
	once    sync.Once     // closes it
	flights []*flying
}

// gateKey names what flights wait for in the server: a lock, and a channel.
const gateKey = 42

// prepare gets the flights to where they stand still.
func (c *cell) prepare(t *testing.T) {
	c.gate = make(chan struct{})
	t.Cleanup(c.openGate)
	_, err := c.Admin(t).Exec(bounded(t), fmt.Sprintf("create table work (flight text, state text); select pg_advisory_lock(%d)", gateKey))
	require.NoError(t, err)
	c.m = newMonitor(t, c.URL(), func(cfg *lifecycle.Config) { cfg.Pool.MaxConns = int32(len(flights)) + 1 })
	require.NoError(t, c.m.Start(bounded(t)))
	for _, f := range c.kinds {
		c.flights = append(c.flights, takeOff(t, c, f))
	}
}

func (c *cell) openGate() { c.once.Do(func() { close(c.gate) }) }

// letFinish opens the gate on both sides.
func (c *cell) letFinish(t *testing.T) {
	c.openGate()
	_, err := c.Admin(t).Exec(bounded(t), fmt.Sprintf("select pg_advisory_unlock(%[1]d), pg_notify('gate_%[1]d', '')", gateKey))
	require.NoError(t, err)
}

// stopInFlight has the cells of one world share a server.
func stopInFlight(t *testing.T, s *server, w world, cells []*cell) {
	for _, c := range cells {
		c.database = s.database(t)
		c.prepare(t)
	}
	if w.onset != nil {
		w.onset(s, t)
	}
	t.Run("the drain", func(t *testing.T) {
		for _, c := range cells {
			t.Run(c.what, func(t *testing.T) {
				t.Parallel()
				c.stop(t, w)
			})
		}
	})
	stopped := time.Now()
	if w.end != nil {
		w.end(s, t)
	}
	t.Run("what is left", func(t *testing.T) {
		for _, c := range cells {
			t.Run(c.what, func(t *testing.T) {
				t.Parallel()
				if !w.lost {
					c.WaitForBackends(t, 0)
					t.Logf("backends were gone %s after the last drain", time.Since(stopped).Round(time.Millisecond))
					c.requireRows(t, w.finishes)
				}
				c.openGate()
				land(t, c.flights, w.finishes)
			})
		}
	})
}

// land waits for the flights' ends. Those that were cut off go on to use their
// connections, which fails and does no harm.
func land(t *testing.T, all []*flying, finished bool) {
	for _, f := range all {
		receive(t, f.landed)
		require.Equal(t, finished && !f.listens, f.err == nil, "%s: %v", f.name, f.err)
		if finished && f.listens {
			require.ErrorIs(t, f.err, lifecycle.ErrDraining)
		}
	}
}

// stop drains, and holds what the drain says against who was in flight.
func (c *cell) stop(t *testing.T, w world) {
	var cut, notice []*flying // what goes on until it is cut off, and what sees that its server is gone
	inUse := 0
	for _, f := range c.flights {
		if !f.listens { // the drain ends a wait for notifications at once
			inUse++
		}
		switch {
		case f.listens && !w.lost:
		case w.lost && f.waits != "":
			notice = append(notice, f)
		case !w.finishes:
			cut = append(cut, f)
		}
	}
	timeout := hang
	if len(cut) > 0 {
		land(t, notice, false) // some moment or other, which the drain's deadline could precede
		timeout = deadline
	}
	var report lifecycle.Report
	drained := make(chan error, 1)
	began := time.Now()
	go func() {
		var err error
		report, err = lifecycle.Drain(context.Background(), c.m, timeout)
		drained <- err
	}()
	if w.finishes {
		eventually(t, c.m.Draining)
		for _, f := range c.flights {
			if f.listens { // a notification of letFinish would end the wait, too
				receive(t, f.landed)
			}
		}
		c.letFinish(t)
		land(t, c.flights, true)
		began = time.Now()
	}
	err := receive(t, drained)
	elapsed := time.Since(began)
	if len(cut) > 0 {
		require.GreaterOrEqual(t, elapsed, deadline, "work in flight got no chance")
		elapsed -= deadline
	}
	t.Logf("drain ended %s after its deadline or the work", elapsed.Round(time.Millisecond))
	requireReport(t, report, err, cut)
	if !w.lost {
		require.Equal(t, inUse, report.InUse)
	}
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
func (c *cell) requireRows(t *testing.T, finished bool) {
	var want []string
	for _, f := range c.flights {
		want = append(want, f.name+" committed")
		if f.writes && finished {
			want = append(want, f.name+" written")
		}
	}
	rows, err := c.Admin(t).Query(bounded(t), "select flight || ' ' || state from work")
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.ElementsMatch(t, want, got)
}
