package admission_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/admission"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newController(t testing.TB, cfg admission.Config) *admission.Controller {
	t.Helper()
	ctl, err := admission.New(cfg)
	require.NoError(t, err)
	t.Cleanup(ctl.Close)
	return ctl
}

// patient is the context of a wait that must end: its deadline turns a hang into a
// failure.
func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// waitFor returns when n callers wait.
func waitFor(t *testing.T, ctl *admission.Controller, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return ctl.Stats().Waiting == n }, time.Minute, time.Millisecond)
}

func TestAClientAloneHasEverything(t *testing.T) {
	t.Parallel()
	for capacity := 1; capacity <= 20; capacity++ {
		ctl := newController(t, admission.Config{Capacity: capacity})
		ctl.Client("registered, never used")
		c := ctl.Client("alone")
		for i := range capacity {
			assert.True(t, c.TryAcquire(""), "permit %d of %d", i+1, capacity)
		}
		assert.False(t, c.TryAcquire(""))
	}
}

func TestCloseFailsAllWaitersAtOnce(t *testing.T) {
	t.Parallel()
	ctl := newController(t, admission.Config{Capacity: 2, TenantMaxFraction: 0.5})
	c := ctl.Client("a")
	require.True(t, c.TryAcquire("acme"))
	require.True(t, c.TryAcquire(""))
	errs := make(chan error)
	for i := range 20 {
		go func() { errs <- ctl.Client(fmt.Sprint(i%3)).Acquire(patient(t), []string{"", "acme"}[i%2]) }()
	}
	waitFor(t, ctl, 20)
	ctl.Close()
	for range 20 {
		require.ErrorIs(t, <-errs, admission.ErrClosed)
	}
	require.ErrorIs(t, c.Acquire(context.Background(), ""), admission.ErrClosed)
	assert.False(t, c.TryAcquire(""))
	c.Release("acme", 0)
	c.Release("", 0)
	ctl.Close()
	s := ctl.Stats()
	assert.Equal(t, 2, s.Free)
	assert.Zero(t, s.Waiting)
}

func TestAnEndedContextGivesItsError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctl := newController(t, admission.Config{Capacity: 1})
		c := ctl.Client("a")
		require.NoError(t, c.Acquire(t.Context(), "acme"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		require.ErrorIs(t, c.Acquire(ctx, "acme"), context.DeadlineExceeded)
		require.ErrorIs(t, c.Acquire(ctx, "acme"), context.DeadlineExceeded, "it had ended before")
		c.Release("acme", 0)
		require.True(t, c.TryAcquire("acme"), "the permit is not lost")
		c.Release("acme", 0)
	})
}

// brokenContext panics where it is asked for what Acquire needs to wait.
type brokenContext struct{ context.Context }

func (brokenContext) Done() <-chan struct{} { panic("broken") }

func TestALimitEndsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 20 * time.Millisecond
		ctl := newController(t, admission.Config{Capacity: 1})
		c := ctl.Client("c")
		waited, err := c.AcquireWithin(t.Context(), "", limit)
		require.NoError(t, err)
		require.Zero(t, waited)
		for range 3 { // the waiter and its timer are used again
			waited, err = c.AcquireWithin(t.Context(), "", limit)
			require.ErrorIs(t, err, admission.ErrTimeout)
			require.Equal(t, limit, waited)
		}
		s := ctl.Stats()
		require.Zero(t, s.Waiting)
		require.EqualValues(t, 3, s.Clients[0].Abandoned)
		require.Equal(t, 3*limit, s.Clients[0].WaitTotal)
		c.Release("", 0)
		require.True(t, c.TryAcquire(""))
		c.Release("", 0)
	})
}

func TestAPanicTakesNoPermit(t *testing.T) {
	t.Parallel()
	ctl := newController(t, admission.Config{Capacity: 1})
	c := ctl.Client("a")
	require.True(t, c.TryAcquire(""))
	assert.Panics(t, func() { _ = c.Acquire(brokenContext{t.Context()}, "") })
	assert.Zero(t, ctl.Stats().Waiting)
	c.Release("", 0)

	for _, tenant := range []string{"", "acme"} {
		assert.PanicsWithValue(t, fmt.Sprintf(`admission: client "a" releases a permit for tenant %q that the client does not hold`, tenant),
			func() { c.Release(tenant, 0) })
	}
	require.True(t, c.TryAcquire("acme"), "and the controller goes on")
	assert.Panics(t, func() { c.Release("", 0) }, "of another tenant")
	c.Release("acme", 0)
	assert.Equal(t, 1, ctl.Stats().Free)
}

// TestNoPermitIsLostOrInvented lets callers that give up, time out, panic and are
// late race with each other and with changing limits.
func TestNoPermitIsLostOrInvented(t *testing.T) {
	t.Parallel()
	const capacity, callers, rounds = 4, 16, 200
	ctl := newController(t, admission.Config{Capacity: capacity, TenantMaxFraction: 0.5})
	limits := []admission.Limits{{}, {Max: 2}, {Reserve: 1}}
	var wg sync.WaitGroup
	var out atomic.Int64
	for i := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), rand.Uint64()))
			c := ctl.Client(fmt.Sprint(i % len(limits)))
			for range rounds {
				tenant := []string{"", "acme", "globex"}[r.IntN(3)]
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(300))*time.Microsecond)
				if r.IntN(2) == 0 {
					go cancel()
				}
				func() {
					defer func() { _ = recover() }()
					if !c.TryAcquire(tenant) {
						limit := time.Duration(r.IntN(2)*(1+r.IntN(300))) * time.Microsecond // 0: none
						if _, err := c.AcquireWithin(ctx, tenant, limit); err != nil {
							if !errors.Is(err, ctx.Err()) && (limit == 0 || !errors.Is(err, admission.ErrTimeout)) {
								t.Error(err)
							}
							return
						}
					}
					defer c.Release(tenant, 0)
					if n := out.Add(1); n > capacity {
						t.Errorf("%d of %d permits are out", n, capacity)
					}
					defer out.Add(-1)
					if r.IntN(8) == 0 {
						panic("a caller's own")
					}
					if r.IntN(8) == 0 {
						<-time.After(100 * time.Microsecond)
					}
				}()
				cancel()
				if r.IntN(50) == 0 {
					if err := c.SetLimits(limits[r.IntN(len(limits))]); err != nil {
						t.Error(err)
					}
				}
				if r.IntN(50) == 0 {
					ctl.Stats()
				}
			}
		})
	}
	wg.Wait()
	s := ctl.Stats()
	assert.Equal(t, capacity, s.Free)
	assert.Zero(t, s.Waiting)
	for _, c := range s.Clients {
		assert.Zero(t, c.Held, c)
	}
	for _, tn := range s.Tenants {
		assert.Zero(t, tn.Held+tn.Waiting, tn)
	}
}

// TestEveryWaiterIsWoken would wait for a minute if a grant did not wake its waiter.
func TestEveryWaiterIsWoken(t *testing.T) {
	t.Parallel()
	ctl := newController(t, admission.Config{Capacity: 2, TenantMaxFraction: 0.5})
	ctx := patient(t)
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			c, tenant := ctl.Client(fmt.Sprint(i%4)), fmt.Sprint("t", i%3)
			for range 100 {
				if err := c.Acquire(ctx, tenant); err != nil {
					t.Error(err)
					return
				}
				c.Release(tenant, 0)
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 2, ctl.Stats().Free)
}

// TestWhoGivesBackHasNoAdvantage: a client that gives its only permit back holds less
// than the others for a moment, and would always be the next.
func TestWhoGivesBackHasNoAdvantage(t *testing.T) {
	t.Parallel()
	for _, headroom := range []int{-1, 2} {
		ctl := newController(t, admission.Config{Capacity: 8, Headroom: headroom})
		clients := []*admission.Client{ctl.Client("a"), ctl.Client("b"), ctl.Client("c"), ctl.Client("d")}
		for i := range 8 {
			require.True(t, clients[i%4].TryAcquire(""))
		}
		for _, c := range clients[1:] { // a holds two, the others one
			c.Release("", 0)
		}
		got := make(chan string, 8)
		wait := func(c *admission.Client) {
			n := ctl.Stats().Waiting
			go func() {
				if err := c.Acquire(patient(t), ""); err == nil {
					got <- c.Name()
				}
			}()
			waitFor(t, ctl, n+1)
		}
		e := ctl.Client("e")
		for range 3 {
			require.True(t, e.TryAcquire(""))
		}
		wait(clients[2])
		wait(clients[1])
		clients[1].Release("", 0)
		require.Equal(t, "c", <-got, "it has waited longest")
		e.Release("", 0)
		require.Equal(t, "b", <-got, "it holds nothing")
		ctl.Close()
	}
}
