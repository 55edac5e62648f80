package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func TestAStandingQueueIsShed(t *testing.T) {
	t.Parallel()
	for name, shared := range map[string]bool{"for a permit": true, "for a place in the pool": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := lifecycle.Request{Client: "flood"}
			m, _ := startPool(t, func(c *lifecycle.Config) {
				c.Pool.MaxConns, c.AcquireTimeout = 1, hang
				c.QueueTarget, c.QueueInterval = 20*time.Millisecond, 100*time.Millisecond
				if shared {
					ctl, err := admission.New(admission.Config{Capacity: 1})
					require.NoError(t, err)
					c.Admission, r.Permits = ctl, ctl.Client("flood")
				}
			})
			holder, err := m.Acquire(bounded(t), r)
			require.NoError(t, err)
			c := callAll(t, m, 10, func(own *lifecycle.Request) { *own = r })
			for range cap(c.failed) {
				err := receive(t, c.failed)
				require.ErrorIs(t, err, lifecycle.ErrQueueShed)
				require.NotErrorIs(t, err, lifecycle.ErrQueueFull, "the queue has no limit")
				require.NotErrorIs(t, err, lifecycle.ErrAcquireTimeout)
				require.NotErrorIs(t, err, context.Canceled)
				require.ErrorContains(t, err, "longest held: flood")
			}
			holder.Release()
			conn, err := m.Acquire(bounded(t), r)
			require.NoError(t, err, "nobody waits any more")
			conn.Release()
			require.Zero(t, m.Waiting())
		})
	}
}

func TestAWaitForAServerThatIsAwayIsNotShed(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	late := newLateServer(t)
	ctl, err := admission.New(admission.Config{Capacity: 2})
	require.NoError(t, err)
	m := startVia(t, late, func(c *lifecycle.Config) {
		c.QueueTarget, c.QueueInterval, c.Admission = 500*time.Millisecond, 600*time.Millisecond, ctl
		c.Pool.MaxConnIdleTime, c.Pool.HealthCheckPeriod = time.Millisecond, time.Millisecond
	})
	eventually(t, func() bool { return m.Pool().Stat().TotalConns() == 0 })
	late.close(t)
	permits := ctl.Client("patient")
	change := func(r *lifecycle.Request) { r.Permits = permits }
	first := callAll(t, m, 1, change)
	awayFor(t, m, 1)
	c := callAll(t, m, 9, change)
	awayFor(t, m, 20)
	require.Equal(t, 10, m.Waiting())
	_, err = lifecycle.Drain(bounded(t), m, hang)
	require.NoError(t, err)
	require.ErrorIs(t, receive(t, first.failed), lifecycle.ErrDraining)
	for range cap(c.failed) {
		require.ErrorIs(t, receive(t, c.failed), lifecycle.ErrDraining)
	}
}

// A queue is judged by the shortest wait of an interval. The story runs on a clock of its own.
func TestAQueueStandsIfEveryWaitOfAnIntervalIsTooLong(t *testing.T) {
	t.Parallel()
	const target, interval = 50 * time.Millisecond, time.Second
	for name, c := range map[string]struct {
		served []time.Duration // waits of callers in the first interval
		shed   bool            // the waiter that is older than twice the target
	}{
		"nobody was served":          {nil, true},
		"all waits were too long":    {[]time.Duration{60 * time.Millisecond, time.Second}, true},
		"a single wait was short":    {[]time.Duration{time.Second, time.Millisecond, time.Second}, false},
		"a caller had not to wait":   {[]time.Duration{time.Second, 0}, false},
		"the last wait was too long": {[]time.Duration{0, time.Second}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := lifecycle.NewShedder(target, interval)
			now := time.Now()
			var shed error
			leave := s.Join("client", func(err error) { shed = err })
			other := false
			defer s.Join("other", func(error) { other = true })()
			for _, waited := range c.served {
				s.Serve("client", waited)
			}
			s.Serve("other", 0)
			s.Judge(now.Add(interval/2), false)
			require.NoError(t, shed, "the interval is not over")
			s.Judge(now.Add(interval+time.Millisecond), false)
			if !c.shed {
				require.NoError(t, shed)
				leave()
				return
			}
			require.ErrorIs(t, shed, lifecycle.ErrQueueShed)
			require.False(t, other, "a client does not suffer from the queue of another")
			leave()

			shed = nil
			defer s.Join("client", func(err error) { shed = err })()
			s.Serve("client", 0)
			s.Judge(now.Add(2*interval+2*time.Millisecond), false)
			require.NoError(t, shed, "the queue drains again")
		})
	}
}
