package fxdb_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

const (
	drainDeadline = 150 * time.Millisecond // of work that does not finish

	// What is promised: the end of a stop after its deadline or the last of the work, and
	// of the last backend after the stop, or after the server's thaw.
	drainPromise = 100 * time.Millisecond
	tracePromise = 250 * time.Millisecond

	// drainHangs is what no machine is too slow for.
	drainHangs = 5 * time.Second
)

// drainWorld is what becomes of the work, or of the server under it.
type drainWorld struct {
	name     string
	finishes bool
	frozen   bool // from right before the stop until after it
	gone     bool
}

var drainWorlds = []drainWorld{
	{name: "finishes", finishes: true},
	{name: "does not finish"},
	{name: "server frozen", frozen: true},
	{name: "server gone", gone: true},
}

// TestDrainTable holds every way to have a connection against a stop in every world:
// the stop keeps its bound, names the holder that it cuts off, keeps what was committed,
// and leaves neither a backend nor a goroutine.
//
// On a busy machine the scheduler alone may take what is promised, so a cell has several
// tries to keep the promise about time. All else holds in each.
//
// Not parallel: times are measured and goroutines counted.
func TestDrainTable(t *testing.T) {
	const tries = 6
	for _, w := range drainWorlds {
		t.Run(w.name, func(t *testing.T) {
			noLeaks(t)
			late := drainFlights
			for try := 1; len(late) > 0; try++ {
				require.LessOrEqual(t, try, tries, "these keep no promise about time: %v", late)
				late = stopAll(t, w, late)
			}
		})
	}
}

// drainCell is a pool of one connection, with one flight.
type drainCell struct {
	drainFlight
	t      testing.TB
	s      *pgfault.Server
	db     *fxdb.DB
	app    string
	key    int    // of the lock that flights wait for in the server
	query  string // what a report has to say it ran last
	pid    uint32
	gate   chan struct{} // what flights wait for in the client
	still  chan struct{}
	stood  sync.Once // closes still
	landed chan struct{}
	err    error        // of fly, when landed is closed
	woken  atomic.Int64 // unix ns, the last of those that waited

	took, traced time.Duration // beyond what was to be waited for
}

func (f drainFlight) String() string { return f.name }

// stopAll returns the flights whose stop kept no promise about time.
func stopAll(t *testing.T, w drainWorld, flights []drainFlight) (late []drainFlight) {
	s := pgfault.Start(t)
	admin, err := pgx.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	defer admin.PgConn().Conn().Close() // a server that is gone takes no farewell
	_, err = admin.Exec(t.Context(), "create table work (flight text, state text); grant select, insert on work to "+devdb.App)
	require.NoError(t, err)

	var cells []*drainCell
	for i, f := range flights {
		c := &drainCell{
			drainFlight: f, t: t, s: s, key: i, app: fmt.Sprintf("drain-%02d", i),
			gate: make(chan struct{}), still: make(chan struct{}), landed: make(chan struct{}),
		}
		_, err := admin.Exec(t.Context(), "select pg_advisory_lock($1)", c.key)
		require.NoError(t, err)
		c.takeOff(t, w)
		cells = append(cells, c)
	}
	if w.gone {
		s.Kill(t)
	}
	for _, c := range cells {
		t.Run(c.name, func(t *testing.T) {
			if w.frozen {
				s.Freeze(t)
			}
			c.stop(t, w, admin)
			if !w.gone {
				s.Thaw(t)
				c.trace(t, admin)
			}
			t.Logf("stop +%d ms, backends +%d ms", c.took.Milliseconds(), c.traced.Milliseconds())
		})
		if c.took > drainPromise || c.traced > tracePromise {
			late = append(late, c.drainFlight)
		}
	}
	if !w.gone {
		requireWork(t, admin, cells, w.finishes)
	}
	return late
}

func (f *drainCell) takeOff(t *testing.T, w drainWorld) {
	timeout := drainDeadline
	if w.finishes {
		timeout = time.Minute
	}
	db, err := fxdb.Open(t.Context(), fxdb.Config{
		URL: f.s.AppURL(), PoolMin: 1, PoolMax: 1, ApplicationName: f.app, DrainTimeout: timeout,
		ConnectionTimeout: time.Hour, StatementTimeout: time.Hour,
	}, fxdb.WithCallers())
	require.NoError(t, err)
	f.db = db.Named("worker")
	_, err = f.db.Exec(drainAcme, f.insert("committed"))
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
	}, time.Minute, time.Millisecond)
	if f.waits != "" {
		f.s.WaitFor(t, "select wait_event is not distinct from $2 from pg_stat_activity where pid = $1", f.pid, f.waits)
	}
}

// stop drains, measures it, and holds its report against what was in flight.
func (f *drainCell) stop(t *testing.T, w drainWorld, admin *pgx.Conn) {
	began, stopped := time.Now(), make(chan error, 1)
	go func() { stopped <- f.db.Close(context.Background()) }()
	over := began
	if w.finishes {
		require.Eventually(t, f.db.Monitor().Draining, time.Minute, time.Millisecond)
		close(f.gate)
		_, err := admin.Exec(t.Context(), fmt.Sprintf("select pg_advisory_unlock(%d), pg_notify('%s', '')", f.key, f.channel()))
		require.NoError(t, err)
		<-f.landed
		over = time.Now()
	}
	err := <-stopped
	ended := time.Now()
	cut := !w.finishes && (!w.gone || f.waits == "") // who waits for a server that is gone notices
	if cut {
		over = began.Add(drainDeadline)
		require.False(t, ended.Before(over), "work in flight got no chance")
	}
	f.took = ended.Sub(over)
	require.Less(t, f.took, drainHangs)
	if woken := f.woken.Load(); woken != 0 { // not only at the deadline
		f.took = max(f.took, time.Unix(0, woken).Sub(began))
	}
	if cut {
		f.requireNamed(t, err)
	} else {
		require.NoError(t, err)
	}
	if !w.finishes { // it goes on with its connection, in vain
		close(f.gate)
		<-f.landed
		require.Error(t, f.err)
		return
	}
	require.NoError(t, f.err)
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
	if f.raw || f.bare {
		tenant = ""
	}
	require.Equal(t, []any{client, tenant, f.pid}, []any{h.Client, h.Tenant, h.PID})
	require.Contains(t, h.Caller, "drain_flights_test.go:")
	if f.query != theirs {
		require.Equal(t, f.query, h.Query)
	}
	require.ErrorContains(t, err, h.String())
}

// trace waits until the server has nothing left of the pool, and measures it.
func (f *drainCell) trace(t *testing.T, admin *pgx.Conn) {
	began := time.Now()
	for left := 1; left > 0; f.traced = time.Since(began) {
		require.Less(t, time.Since(began), drainHangs, "backends are left on the server")
		err := admin.QueryRow(t.Context(), "select count(*) from pg_stat_activity where starts_with(application_name, $1)", f.app).Scan(&left)
		require.NoError(t, err)
	}
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
	rows, err := admin.Query(t.Context(), "select flight || ' ' || state from work")
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.ElementsMatch(t, want, got)
}
