package fxdb_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// drainDeadline is that of work that does not finish.
const drainDeadline = 150 * time.Millisecond

// drainWorld is what becomes of the work, or of the server under it.
type drainWorld struct {
	name     string
	finishes bool
	frozen   bool // from right before the stops until after them
	gone     bool
	every    int // one of so many flights
}

// cuts reports whether a drain has to cut the flight off: a flight that waits for a
// server that is gone notices by itself.
func (w drainWorld) cuts(f drainFlight) bool {
	return !w.finishes && !f.listens && (!w.gone || f.waits == "")
}

func drainWorlds() []drainWorld {
	return []drainWorld{
		{name: "finishes", finishes: true, every: size.Of(12, 6, 1)},
		{name: "does not finish", every: size.Of(8, 4, 1)},
		{name: "server frozen", frozen: true, every: size.Of(20, 8, 1)},
		{name: "server gone", gone: true, every: size.Of(20, 8, 1)},
	}
}

// TestDrainTable holds every way to have a connection against a stop in every world:
// the stop lasts until the work's end or its deadline, names the holder that it cuts
// off, keeps what was committed, and leaves neither a backend nor a goroutine. All
// flights of a world are stopped at the same time. As a soak every flight meets every
// world.
//
// A drain promises to end 100 ms after its deadline, or after the last of the work. The
// table prints that figure, and holds the drain to a bound that only a hang breaks.
//
// Not parallel: goroutines are counted.
func TestDrainTable(t *testing.T) {
	noLeaks(t)
	lasting := pgfault.Start(t)
	for at, w := range drainWorlds() {
		t.Run(w.name, func(t *testing.T) {
			noLeaks(t)
			s := lasting
			if w.gone {
				s = pgfault.Start(t)
			}
			var flights []drainFlight
			for i := at % w.every; i < len(drainFlights); i += w.every {
				flights = append(flights, drainFlights[i])
			}
			stopAll(t, s, w, flights)
		})
	}
}

// drainCell is a pool of one connection, with one flight.
type drainCell struct {
	drainFlight
	t     testing.TB
	s     *pgfault.Server
	db    *fxdb.DB
	app   string
	key   int    // of the lock that flights wait for in the server
	query string // what a report has to say it ran last
	pid   uint32

	bare, acme context.Context // of the flight
	gate       chan struct{}   // what flights wait for in the client
	lift       sync.Once       // closes gate
	still      chan struct{}
	stood      sync.Once // closes still
	landed     chan struct{}
	err        error // of fly, when landed is closed

	began, over, ended time.Time // of the stop: its begin, when it may end, its end
	stopped            chan error
	waiters            sync.WaitGroup // callers that wait for the connection
}

func stopAll(t *testing.T, s *pgfault.Server, w drainWorld, flights []drainFlight) {
	admin, err := pgx.Connect(within(t), s.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = admin.PgConn().Conn().Close() }) // a server that is gone takes no farewell
	_, err = admin.Exec(within(t), "drop table if exists work; create table work (flight text, state text); grant select, insert on work to "+devdb.RoleApp)
	require.NoError(t, err)

	var cells []*drainCell
	for i, f := range flights {
		c := &drainCell{
			drainFlight: f, t: t, s: s, key: i, app: fmt.Sprintf("drain-%02d", i), bare: within(t), acme: as(t, "acme"),
			gate: make(chan struct{}), still: make(chan struct{}), landed: make(chan struct{}), stopped: make(chan error, 1),
		}
		_, err := admin.Exec(within(t), "select pg_advisory_lock($1)", c.key)
		require.NoError(t, err)
		c.takeOff(t, w)
		cells = append(cells, c)
	}
	switch {
	case w.gone:
		s.Kill(t)
	case w.frozen:
		s.Freeze(t)
	}
	for _, c := range cells {
		c.stop()
	}
	if w.finishes {
		for _, c := range cells {
			c.finish(t, admin)
		}
	}
	for _, c := range cells {
		t.Run(c.name, func(t *testing.T) { c.judge(t, w) })
	}
	s.Thaw(t)
	if !w.gone {
		requireNoTrace(t, admin, cells)
		requireWork(t, admin, cells, w.finishes)
	}
}

func (f *drainCell) takeOff(t *testing.T, w drainWorld) {
	timeout := drainDeadline
	if w.finishes {
		timeout = 2 * patience
	}
	db, err := fxdb.Open(within(t), fxdb.Config{
		URL: f.s.AppURL(), PoolMin: 1, PoolMax: 1, ApplicationName: f.app, DrainTimeout: timeout,
		ConnectionTimeout: time.Hour, StatementTimeout: time.Hour, LockTimeout: time.Hour, IdleInTransactionTimeout: time.Hour,
	}, fxdb.WithCallSites())
	require.NoError(t, err)
	t.Cleanup(func() { // of a test that failed: nothing waits any more
		f.open()
		_ = db.Close(within(t))
	})
	f.db = db.Named("worker")
	_, err = f.db.Exec(f.acme, f.insert("committed"))
	require.NoError(t, err)
	f.query = ""
	go func() {
		defer close(f.landed)
		f.err = f.fly(f)
	}()
	select {
	case <-f.still:
	case <-f.landed:
		t.Fatalf("%s did not get to stand still: %v", f.name, f.err)
	}
	require.Eventually(t, func() bool {
		holders := db.Monitor().Holders()
		if len(holders) == 1 {
			f.pid = holders[0].PID
		}
		return f.pid != 0
	}, patience, time.Millisecond)
	if f.waits != "" {
		f.s.WaitFor(t, "select wait_event is not distinct from $2 from pg_stat_activity where pid = $1", f.pid, f.waits)
	}
}

// open lets flights go on that wait in the client.
func (f *drainCell) open() { f.lift.Do(func() { close(f.gate) }) }

// stop begins a drain.
func (f *drainCell) stop() {
	f.began = time.Now()
	go func() {
		err := f.db.Close(context.Background())
		f.ended = time.Now()
		f.stopped <- err
	}()
}

// finish ends the flight as its caller would, in the middle of the drain.
func (f *drainCell) finish(t *testing.T, admin *pgx.Conn) {
	require.Eventually(t, f.db.Monitor().Draining, patience, time.Millisecond)
	refused := make(chan struct{})
	go func() {
		f.waiters.Wait()
		close(refused)
	}()
	receive(t, refused, "waiters get the error of the stop at once")
	f.open()
	_, err := admin.Exec(within(t), fmt.Sprintf("select pg_advisory_unlock(%d), pg_notify('%s', '')", f.key, f.channel()))
	require.NoError(t, err)
	receive(t, f.landed, "the flight's end")
	f.over = time.Now()
}

// judge holds the drain's end and its report against what was in flight.
func (f *drainCell) judge(t *testing.T, w drainWorld) {
	err := receive(t, f.stopped, "the stop's end")
	if w.finishes {
		require.NoError(t, err)
		if f.listens {
			require.ErrorIs(t, f.err, fxdb.ErrDraining)
		} else {
			require.NoError(t, f.err)
		}
	} else {
		if w.cuts(f.drainFlight) {
			f.over = f.began.Add(drainDeadline)
			require.False(t, f.ended.Before(f.over), "work in flight got no chance")
			f.requireNamed(t, err)
		} else {
			require.NoError(t, err)
		}
		f.open() // it goes on with its connection, in vain
		receive(t, f.landed, "the flight's end")
		require.Error(t, f.err)
	}
	if !f.over.IsZero() {
		t.Logf("stop +%d ms", f.ended.Sub(f.over).Milliseconds())
	}
}

func (f *drainCell) requireNamed(t *testing.T, err error) {
	var drainErr *lifecycle.DrainError
	require.ErrorAs(t, err, &drainErr)
	require.Equal(t, 1, drainErr.Report.InUse)
	require.Len(t, drainErr.Report.Cut, 1)
	h := drainErr.Report.Cut[0]
	client, tenant := "worker", "acme"
	if f.raw {
		client = "raw pool"
	}
	if f.raw || f.nobody {
		tenant = ""
	}
	require.Equal(t, []any{client, tenant, f.pid}, []any{h.Client, h.Tenant, h.PID})
	require.Contains(t, h.Caller, "drain_flights_test.go:")
	if f.query != theirs {
		require.Equal(t, f.query, h.Query)
	}
	require.ErrorContains(t, err, h.String())
}

// requireNoTrace waits until the server has nothing left of the pools.
func requireNoTrace(t *testing.T, admin *pgx.Conn, cells []*drainCell) {
	t.Helper()
	began := time.Now()
	for _, c := range cells {
		require.Eventually(t, func() bool {
			var left int
			err := admin.QueryRow(within(t), "select count(*) from pg_stat_activity where starts_with(application_name, $1)", c.app).Scan(&left)
			require.NoError(t, err)
			return left == 0
		}, patience, time.Millisecond, "%s left a backend on the server", c.name)
	}
	t.Logf("backends +%d ms", time.Since(began).Milliseconds())
}

// requireWork holds what is in the table against what was committed.
func requireWork(t *testing.T, admin *pgx.Conn, cells []*drainCell, finished bool) {
	var want []string
	for _, c := range cells {
		want = append(want, c.name+" committed")
		if c.writes && finished {
			want = append(want, c.name+" written")
		}
	}
	rows, err := admin.Query(within(t), "select flight || ' ' || state from work")
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.ElementsMatch(t, want, got)
}
