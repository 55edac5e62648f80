package lifecycle_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func status(h http.Handler) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Code
}

func TestReadyFollowsThePoolAndLiveDoesNot(t *testing.T) {
	t.Parallel()
	m := newMonitor(t, newDatabase(t).URL(), nil)
	require.Equal(t, http.StatusOK, status(m.Live()))
	require.Equal(t, http.StatusServiceUnavailable, status(m.Ready()), "before the start")

	require.NoError(t, m.Start(bounded(t)))
	require.Equal(t, http.StatusOK, status(m.Ready()))

	conn := acquire(t, m, "holder")
	drained := beginDrain(t, m)
	require.Equal(t, http.StatusServiceUnavailable, status(m.Ready()), "during a stop, with work in flight")
	require.Equal(t, http.StatusOK, status(m.Live()))
	conn.Release()
	require.NoError(t, receive(t, drained))
	require.Equal(t, http.StatusServiceUnavailable, status(m.Ready()))
	require.Equal(t, http.StatusOK, status(m.Live()))
}

func TestASaturatedPoolIsReady(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestABurstDoesNotChangeTheVerdict")
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Pool.MaxConns = 2 })
	for range 2 {
		t.Cleanup(acquire(t, m, "holder").Release)
	}
	require.Equal(t, lifecycle.Unhealthy, m.Status(), "at this moment")
	eventually(t, func() bool { return m.Health(bounded(t)).Status == lifecycle.Unhealthy })
	for range size.Of(3, 10, 40) {
		h := m.Health(bounded(t))
		require.True(t, h.Ready, h.Error)
		require.Equal(t, 2, h.Active)
		// Nothing answered meanwhile, so the next look asks the server again.
		m.ForgetAnswers()
	}
}

// TestABurstDoesNotChangeTheVerdict: TestTheVerdictIsOfTheLastSecond has the figures.
func TestABurstDoesNotChangeTheVerdict(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, _ := startPool(t, func(c *lifecycle.Config) { c.Pool.MinConns, c.Pool.MaxConns = 2, 2 })
	m.Health(bounded(t)) // the next looks send nothing
	bursts := 0
	for range 50 {
		began := time.Now()
		acquireAll(t, m, 2)
		status := m.Health(bounded(t)).Status
		if time.Since(began) > 10*time.Millisecond {
			return // the machine makes a load of the bursts
		}
		bursts++
		require.Equal(t, lifecycle.Healthy, status, "after %d bursts", bursts)
	}
}

func TestLongWaitsAreNotHealthy(t *testing.T) {
	t.Parallel()
	size.SkipShort(t) // TestLongWaitsOfTheLastTenSecondsCount has the figures
	m, _ := startPool(t, func(c *lifecycle.Config) {
		c.Pool.MinConns, c.Pool.MaxConns = 1, 1
		c.Pool.ShouldPing = neverPing
		c.AcquireTimeout = 200 * time.Millisecond
	})
	conn := acquire(t, m, "holder")
	_, err := m.Acquire(bounded(t), lifecycle.Request{Client: "late"})
	require.ErrorIs(t, err, lifecycle.ErrAcquireTimeout)
	conn.Release()
	require.Equal(t, lifecycle.Unhealthy, m.Health(bounded(t)).Status, "one wait in three was in vain")
	require.Equal(t, lifecycle.Healthy, m.Status(), "nothing is in use")
	eventually(t, func() bool {
		for range 100 {
			acquireAll(t, m, 1)
		}
		return m.Health(bounded(t)).Status == lifecycle.Healthy
	}, "one among many is no reason")
}

// TestALookSendsNothingAndWaitsForNoProbe holds the probe's connect up.
func TestALookSendsNothingAndWaitsForNoProbe(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDatabase(t)
	var hold atomic.Bool
	dialled, goOn := make(chan struct{}, 10), make(chan struct{})
	m := newMonitor(t, db.URL(), func(c *lifecycle.Config) {
		dial := c.Pool.ConnConfig.DialFunc
		c.Pool.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if hold.Load() {
				dialled <- struct{}{}
				<-goOn
			}
			return dial(ctx, network, addr)
		}
	})
	require.NoError(t, m.Start(bounded(t)))
	hold.Store(true)
	m.ForgetAnswers()
	probed := make(chan lifecycle.Health, 1)
	go func() { probed <- m.Health(context.Background()) }()
	receive(t, dialled)
	assessed := make(chan struct{})
	go func() {
		defer close(assessed)
		m.Status()
		m.LastCheck()
	}()
	receive(t, assessed)
	require.Empty(t, probed)
	require.Empty(t, dialled, "a look asked the server")
	hold.Store(false)
	close(goOn)
	receive(t, probed)
}

func TestAChangeIsReportedIfNobodyAsks(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, late := newDatabase(t), newLateServer(t)
	late.open(t, db)
	m := newMonitor(t, db.URL(), late.via)
	changes := make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { changes <- h })
	require.NoError(t, m.Start(bounded(t)))
	conn := acquire(t, m, "holder")
	late.close(t)
	h := receive(t, changes)
	require.Equal(t, lifecycle.Unhealthy, h.Status)
	require.False(t, h.Ready)
	require.Equal(t, lifecycle.Unhealthy, m.Status())
	conn.Release()
	late.open(t, db)
	require.Equal(t, lifecycle.Healthy, receive(t, changes).Status, "an idle pool whose server was away is assessed at too")
}

func TestASilentServerIsNoticedAndItsReturnToo(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, late := newDatabase(t), newLateServer(t)
	late.open(t, db)
	m := newMonitor(t, db.URL(), late.via)
	changes := make(chan bool, 10)
	m.OnChange(func(h lifecycle.Health) { changes <- h.Ready })
	require.NoError(t, m.Start(bounded(t)))
	require.True(t, m.Health(bounded(t)).Ready)
	late.silence(t)
	m.SetProbeTimeout(lifecycle.ProbeTimeout)
	eventually(t, func() bool { h := m.Health(bounded(t)); return !h.Ready && h.Error != "" })
	require.False(t, receive(t, changes))
	m.SetProbeTimeout(hang)
	late.close(t)
	late.open(t, db)
	eventually(t, func() bool { return m.Health(bounded(t)).Ready })
	require.True(t, receive(t, changes))
	require.Empty(t, changes)
}

func TestNewRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	_, err := lifecycle.New(lifecycle.Config{})
	require.ErrorContains(t, err, "Config.Pool")
	_, err = lifecycle.New(lifecycle.Config{Pool: &pgxpool.Config{}})
	require.ErrorContains(t, err, "Config.Pool")
}

func TestAPoolThatFillsItsRolesLimitIsReady(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestABurstDoesNotChangeTheVerdict")
	db := newDatabase(t)
	role := db.newRole(t)
	m := newMonitor(t, db.server.DatabaseURL(role, db.name), func(c *lifecycle.Config) { c.Pool.MaxConns = 2 })
	require.NoError(t, m.Start(bounded(t)))
	for range 2 {
		t.Cleanup(acquire(t, m, "holder").Release)
	}
	_, err := db.Admin(t).Exec(bounded(t), "alter role "+role+" connection limit 2")
	require.NoError(t, err)
	for range 3 {
		m.ForgetAnswers()
		h := m.Health(bounded(t))
		require.True(t, h.Ready, h.Error)
		require.Positive(t, h.Latency, "nothing was asked")
	}
}

func TestAPoolIsAsReadyAsThoseBesideIt(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDatabase(t)
	beside := newMonitor(t, db.URL(), func(c *lifecycle.Config) { c.OpenedBy = "the pool beside"; c.Pool.MaxConns = 2 })
	core, logs := observer.New(zap.ErrorLevel)
	m := newMonitor(t, db.URL(), func(c *lifecycle.Config) {
		c.SiblingPools, c.Logger = []*lifecycle.Monitor{beside}, zap.New(core)
	})
	changes := make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { changes <- h })
	require.NoError(t, m.Start(bounded(t)))
	h := m.Health(bounded(t))
	require.False(t, h.Ready)
	require.Contains(t, h.Error, "the pool beside: "+lifecycle.ErrNotStarted.Error())
	require.Equal(t, h.Error, receive(t, changes).Error)
	require.Empty(t, logs.All(), "the pools of an application start after each other")

	require.NoError(t, beside.Start(bounded(t)))
	require.True(t, receive(t, changes).Ready, "unasked")
	for range 2 {
		conn, err := beside.Acquire(bounded(t), lifecycle.Request{Client: "holder"})
		require.NoError(t, err)
		t.Cleanup(conn.Release)
	}
	for h = receive(t, changes); h.Status != lifecycle.Unhealthy; h = receive(t, changes) {
		require.Equal(t, lifecycle.Degraded, h.Status, "on its way")
	}
	require.True(t, h.Ready)
	require.Zero(t, h.Active)
	require.Equal(t, lifecycle.Healthy, m.Status(), "which is its own")
}

// A pool whose own traffic proves that the server answers sends no probe.
func TestReadyShowsALatencyThatWasMeasured(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	m, _ := startPool(t, func(c *lifecycle.Config) {})
	conn := acquire(t, m, "busy")
	defer conn.Release()
	_, err := conn.Exec(bounded(t), "select 1")
	require.NoError(t, err)
	h := m.Health(bounded(t))
	require.True(t, h.Ready)
	require.Positive(t, h.Latency)
}

func TestReadyNamesNoLoginNoDatabaseAndNoHost(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, late := newDatabase(t), newLateServer(t)
	role := db.newRole(t)
	running := newMonitor(t, db.server.DatabaseURL(role, db.name), nil)
	require.NoError(t, running.Start(bounded(t)))
	_, err := db.Admin(t).Exec(bounded(t), "alter role "+role+" nologin")
	require.NoError(t, err)
	degraded := newMonitor(t, db.URL(), func(c *lifecycle.Config) { late.via(c); c.Start = lifecycle.StartDegrade })
	require.NoError(t, degraded.Start(bounded(t)))
	for m, cause := range map[*lifecycle.Monitor]string{running: role, degraded: late.path} {
		eventually(t, func() bool {
			m.ForgetAnswers()
			return strings.Contains(m.Health(bounded(t)).Error, cause) // for the log
		})
		w := httptest.NewRecorder()
		m.Ready().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Regexp(t, `"error":"[^"]+"`, w.Body.String())
		for _, private := range []string{cause, db.name, m.Pool().Config().ConnConfig.Host, "SQLSTATE"} {
			require.NotContains(t, w.Body.String(), private)
		}
	}
}
