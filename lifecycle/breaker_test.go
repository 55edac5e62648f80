package lifecycle_test

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// callers are callers that take a connection and give it back.
type callers struct {
	all    sync.WaitGroup
	failed chan error
}

func callAll(t *testing.T, m *lifecycle.Monitor, n int, change func(*lifecycle.Request)) *callers {
	c := &callers{failed: make(chan error, n)}
	ctx := bounded(t)
	for range n {
		c.all.Go(func() {
			r := lifecycle.Request{Client: "patient"}
			if change != nil {
				change(&r)
			}
			conn, err := m.Acquire(ctx, r)
			if err == nil {
				_, err = conn.Exec(ctx, "select 1")
				conn.Release()
			}
			c.failed <- err
		})
	}
	return c
}

func (c *callers) served(t *testing.T) {
	t.Helper()
	for range cap(c.failed) {
		require.NoError(t, receive(t, c.failed))
	}
	c.all.Wait()
}

// awayFor waits until the prober has failed so often more.
func awayFor(t *testing.T, m *lifecycle.Monitor, attempts int64) {
	t.Helper()
	before, _ := m.ProberAttempts()
	eventually(t, func() bool { n, open := m.ProberAttempts(); return open && n >= before+attempts })
}

func TestOnlyTheProberDialsWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const conns, waiting = 5, 60
	ctl, err := admission.New(admission.Config{Capacity: conns})
	require.NoError(t, err)
	late := newLateServer(t)
	m := startVia(t, late, func(c *lifecycle.Config) {
		c.Pool.MaxConns, c.Admission = conns, ctl
		c.Pool.MaxConnIdleTime, c.Pool.HealthCheckPeriod = time.Millisecond, time.Millisecond
	})
	eventually(t, func() bool { return m.Pool().Stat().TotalConns() == 0 })
	late.close(t)
	permits := ctl.Client("patient")
	c := callAll(t, m, waiting, func(r *lifecycle.Request) { r.Permits = permits })
	awayFor(t, m, 1)
	eventually(t, func() bool { return m.Waiting() == waiting })
	before, _ := m.ProberAttempts()
	dials := int64(late.refused.Load())
	awayFor(t, m, 10)
	dials = int64(late.refused.Load()) - dials
	after, _ := m.ProberAttempts()
	t.Logf("%d callers waited: %d dials, of them %d by the prober", waiting, dials, after-before)
	require.LessOrEqual(t, dials, after-before+1, "a caller dialled")
	require.Equal(t, waiting, m.Waiting())

	late.open(t, late.db)
	c.served(t)
	_, open := m.ProberAttempts()
	require.False(t, open)
	eventually(t, func() bool { st := ctl.Stats(); return st.Free == conns && st.Waiting == 0 })
	require.Zero(t, m.Waiting())
	require.Empty(t, m.Holders())
	require.LessOrEqual(t, m.Pool().Stat().TotalConns(), int32(conns))
}

func TestAnAcquireFromThePoolItselfTakesTheResultOfTheProber(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	late := newLateServer(t)
	m := startEmpty(t, late)
	late.close(t)
	_, err := m.Pool().Acquire(bounded(t))
	require.ErrorContains(t, err, late.path, "the pool's own attempt")
	awayFor(t, m, 2)
	before, _ := m.ProberAttempts()
	dials := int64(late.refused.Load())
	for range 3 {
		_, err := m.Pool().Acquire(bounded(t))
		require.ErrorContains(t, err, late.path)
	}
	dials = int64(late.refused.Load()) - dials
	after, _ := m.ProberAttempts()
	require.LessOrEqual(t, dials, after-before+1, "the raw pool dialled")
	late.open(t, late.db)
	require.NoError(t, m.Pool().Ping(bounded(t)), "the prober's next attempt reaches the server")
}

func TestTheProberTriesAgainBesideAnAttemptThatIsSilent(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	late := newLateServer(t)
	m := startVia(t, late, func(c *lifecycle.Config) {
		c.Pool.ConnConfig.ConnectTimeout, c.AcquireTimeout = 2*hang, 2*hang
		c.Pool.MaxConnIdleTime, c.Pool.HealthCheckPeriod = time.Millisecond, time.Millisecond
	})
	eventually(t, func() bool { return m.Pool().Stat().TotalConns() == 0 })
	late.close(t)
	c := callAll(t, m, 3, nil)
	awayFor(t, m, 2)
	late.listen(t) // and says nothing
	before, _ := m.ProberAttempts()
	eventually(t, func() bool { n, _ := m.ProberAttempts(); return n >= before+2 })
	late.close(t)
	late.open(t, late.db)
	c.served(t)
}

func TestACallerMayWaitForAServerForAFractionOfItsTime(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for name, fraction := range map[string]float64{"at once": -1, "a hundredth": 0.01} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			late := newLateServer(t)
			m := startVia(t, late, func(c *lifecycle.Config) { c.ServerWaitFraction, c.AcquireTimeout = fraction, hang })
			holder := acquire(t, m, "holder")
			late.close(t)
			_, err := m.Acquire(bounded(t), lifecycle.Request{Client: "hasty"})
			var acquireErr *lifecycle.AcquireError
			require.ErrorAs(t, err, &acquireErr)
			require.ErrorIs(t, err, lifecycle.ErrServerAway)
			require.NotErrorIs(t, err, lifecycle.ErrAcquireTimeout)
			require.NotErrorIs(t, err, context.DeadlineExceeded)
			require.Error(t, acquireErr.Connect)
			require.ErrorContains(t, err, "the server can't be reached: ")
			require.ErrorContains(t, err, late.path)
			t.Logf("waited %s: %v", acquireErr.Waited, err)

			holder.Release()
			acquire(t, m, "a connection that the pool has").Release()
			late.open(t, late.db)
			eventually(t, func() bool { _, open := m.ProberAttempts(); return !open })
			defer acquire(t, m, "first").Release()
			acquire(t, m, "second").Release()
		})
	}
}

func TestADrainEndsTheWaitForAServer(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	late := newLateServer(t)
	m := startEmpty(t, late)
	late.close(t)
	c := callAll(t, m, 10, nil)
	awayFor(t, m, 2)
	_, err := lifecycle.Drain(bounded(t), m, hang)
	require.NoError(t, err)
	for range cap(c.failed) {
		require.ErrorIs(t, receive(t, c.failed), lifecycle.ErrDraining)
	}
}

func TestAConnectionThatComesBackServesACallerWhileTheServerTakesNoNewOnes(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	late := newLateServer(t)
	m := startVia(t, late, nil)
	holder := acquire(t, m, "holder")
	late.close(t)
	c := callAll(t, m, 3, nil)
	awayFor(t, m, 2)
	holder.Release()
	c.served(t)
	_, open := m.ProberAttempts()
	require.True(t, open)
}

func TestTheProberFindsTheHostThatComesBack(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	first, second := s.Proxy(t), s.Proxy(t)
	u, err := url.Parse(first.DatabaseURL("postgres", "postgres"))
	require.NoError(t, err)
	u.Host = first.Addr() + "," + second.Addr()
	m := newMonitor(t, u.String(), func(c *lifecycle.Config) { c.AcquireTimeout, c.Pool.MaxConns = hang, 4 })
	require.NoError(t, m.Start(bounded(t)))
	first.Cut()
	second.Cut()
	c := callAll(t, m, 12, nil)
	awayFor(t, m, 2)
	second.Restore()
	for range cap(c.failed) {
		if err := receive(t, c.failed); err != nil {
			require.ErrorContains(t, err, "connection", "a connection that the cut has ended")
		}
	}
	eventually(t, func() bool { _, open := m.ProberAttempts(); return !open })
	conn := acquire(t, m, "last")
	defer conn.Release()
	require.Equal(t, second.Addr(), conn.Conn().PgConn().Conn().RemoteAddr().String())
	require.NotErrorIs(t, err, lifecycle.ErrServerAway)
}
