package lifecycle_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

func status(h http.Handler) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	return w.Code
}

func TestReadyFollowsThePoolAndLiveDoesNot(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	require.Equal(t, http.StatusOK, status(m.Live()))
	require.Equal(t, http.StatusServiceUnavailable, status(m.Ready()), "before the start")

	require.NoError(t, m.Start(t.Context()))
	require.Equal(t, http.StatusOK, status(m.Ready()))

	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
	require.NoError(t, err)
	drained := make(chan error, 1)
	go func() { _, err := lifecycle.Drain(context.Background(), m, time.Minute); drained <- err }()
	require.Eventually(t, m.Draining, time.Minute, time.Millisecond)
	require.Equal(t, http.StatusServiceUnavailable, status(m.Ready()), "during a stop, with work in flight")
	require.Equal(t, http.StatusOK, status(m.Live()))
	conn.Release()
	require.NoError(t, <-drained)
	require.Equal(t, http.StatusServiceUnavailable, status(m.Ready()))
	require.Equal(t, http.StatusOK, status(m.Live()))
}

func TestASaturatedPoolIsReady(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	require.NoError(t, m.Start(t.Context()))
	for range 5 {
		conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
		require.NoError(t, err)
		t.Cleanup(conn.Release)
	}
	require.Equal(t, lifecycle.Unhealthy, m.Status(), "at this moment")
	require.Eventually(t, func() bool { return m.Health(t.Context()).Status == lifecycle.Unhealthy }, time.Minute, time.Millisecond)
	for range 40 {
		h := m.Health(t.Context())
		require.True(t, h.Ready, h.Error)
		require.Equal(t, 5, h.Active)
		// Nothing answered meanwhile, so the next look asks the server again.
		m.ForgetAnswers()
	}
}

func TestABurstDoesNotChangeTheVerdict(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	require.NoError(t, m.Start(t.Context()))
	require.Eventually(t, func() bool { return m.Health(t.Context()).Status == lifecycle.Healthy }, time.Minute, time.Millisecond)
	for range 50 {
		acquireAll(t, m, 5)
		require.Equal(t, lifecycle.Healthy, m.Health(t.Context()).Status)
	}
}

func TestLongWaitsAreNotHealthy(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		c.Pool.MinConns, c.Pool.MaxConns = 1, 1
		c.AcquireTimeout = 200 * time.Millisecond
	})
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
	require.NoError(t, err)
	_, err = m.Acquire(t.Context(), lifecycle.Request{Client: "late"})
	require.ErrorIs(t, err, lifecycle.ErrAcquireTimeout)
	conn.Release()
	require.Equal(t, lifecycle.Unhealthy, m.Health(t.Context()).Status, "one wait in three was in vain")
	require.Equal(t, lifecycle.Healthy, m.Status(), "nothing is in use")
	require.Eventually(t, func() bool {
		for range 100 {
			acquireAll(t, m, 1)
		}
		return m.Health(t.Context()).Status == lifecycle.Healthy
	}, 5*time.Second, time.Millisecond, "one among many is no reason")
}

func TestALookSendsNothingAndWaitsForNoProbe(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	require.NoError(t, m.Start(t.Context()))
	s.Freeze(t)
	m.ForgetAnswers()
	probed := make(chan lifecycle.Health, 1)
	began := time.Now()
	go func() { probed <- m.Health(context.Background()) }()
	for longest := time.Duration(0); ; {
		look := time.Now()
		m.Status()
		m.LastCheck()
		longest = max(longest, time.Since(look))
		select {
		case h := <-probed:
			require.False(t, h.Ready)
			require.Less(t, longest, time.Since(began)/2, "a look waited for the probe")
			return
		default:
		}
	}
}

func TestAChangeIsToldWhereNobodyAsks(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	told := make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { told <- h })
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
	require.NoError(t, err)
	s.Freeze(t)
	h := <-told
	require.Equal(t, lifecycle.Unhealthy, h.Status)
	require.False(t, h.Ready)
	require.Equal(t, lifecycle.Unhealthy, m.Status())
	conn.Release()
	s.Thaw(t)
	require.Equal(t, lifecycle.Healthy, (<-told).Status, "an idle pool whose server was away is looked at too")
}

func TestAFrozenServerIsNoticedAndItsReturnToo(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	m := newMonitor(t, s.URL(), nil)
	told := make(chan bool, 10)
	m.OnChange(func(h lifecycle.Health) { told <- h.Ready })
	require.NoError(t, m.Start(t.Context()))
	require.True(t, m.Health(t.Context()).Ready)
	s.Freeze(t)
	require.Eventually(t, func() bool { h := m.Health(t.Context()); return !h.Ready && h.Error != "" }, time.Minute, 10*time.Millisecond)
	require.False(t, <-told)
	s.Thaw(t)
	require.Eventually(t, func() bool { return m.Health(t.Context()).Ready }, time.Minute, 10*time.Millisecond)
	require.True(t, <-told)
	require.Empty(t, told)
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
	s := pgfault.Start(t)
	m := newMonitor(t, s.AppURL(), nil)
	require.NoError(t, m.Start(t.Context()))
	for range 5 {
		conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
		require.NoError(t, err)
		t.Cleanup(conn.Release)
	}
	s.Admin(t, func(conn *pgx.Conn) {
		_, err := conn.Exec(t.Context(), "alter role "+devdb.App+" connection limit 5")
		require.NoError(t, err)
	})
	for range 10 {
		m.ForgetAnswers()
		h := m.Health(t.Context())
		require.True(t, h.Ready, h.Error)
		require.Positive(t, h.Latency, "nothing was asked")
	}
}

func TestAPoolIsAsReadyAsThoseBesideIt(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	beside := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Origin = "the pool beside"; c.Pool.MaxConns = 2 })
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Beside = []*lifecycle.Monitor{beside} })
	told := make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { told <- h })
	require.NoError(t, m.Start(t.Context()))
	h := m.Health(t.Context())
	require.False(t, h.Ready)
	require.Contains(t, h.Error, "the pool beside: "+lifecycle.ErrNotStarted.Error())
	require.Equal(t, h.Error, (<-told).Error)

	require.NoError(t, beside.Start(t.Context()))
	require.True(t, (<-told).Ready, "unasked")
	for range 2 {
		conn, err := beside.Acquire(t.Context(), lifecycle.Request{Client: "holder"})
		require.NoError(t, err)
		t.Cleanup(conn.Release)
	}
	for h = <-told; h.Status != lifecycle.Unhealthy; h = <-told {
		require.Equal(t, lifecycle.Degraded, h.Status, "on its way")
	}
	require.True(t, h.Ready)
	require.Zero(t, h.Active)
	require.Equal(t, lifecycle.Healthy, m.Status(), "which is its own")
}
