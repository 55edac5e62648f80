package admission_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/admission"
)

// crowd is a busy client, which has every permit, beside six active clients, or tenants
// of it, that hold nothing.
type crowd struct {
	*testing.T
	ctl     *admission.Controller
	busy    *admission.Client
	tenants bool
}

type newcomer struct {
	*admission.Client
	tenant string
}

func newCrowd(t *testing.T, tenants bool, cfg admission.Config) crowd {
	c := crowd{T: t, ctl: newController(t, cfg), tenants: tenants}
	c.busy = c.ctl.Client("busy")
	for range cfg.Capacity {
		require.True(t, c.busy.TryAcquire(""))
	}
	for i := range 6 {
		require.False(t, c.newcomer(i).try())
	}
	return c
}

func (c crowd) newcomer(i int) newcomer {
	name := fmt.Sprint("newcomer", i%6)
	if c.tenants {
		return newcomer{c.busy, name}
	}
	return newcomer{c.ctl.Client(name), ""}
}

func (q newcomer) try() bool { return q.TryAcquire(q.tenant) }
func (q newcomer) release()  { q.Release(q.tenant, 0) }
func (q newcomer) within(d time.Duration) (time.Duration, error) {
	return q.AcquireWithin(context.Background(), q.tenant, d)
}

// wait lets one that holds nothing wait in vain for d.
func (c crowd) wait(i int, d time.Duration) {
	waited, err := c.newcomer(i).within(d)
	require.ErrorIs(c, err, admission.ErrTimeout)
	require.Equal(c, d, waited)
}

// late waits for longer than is in time, inTime not at all.
func (c crowd) late() { c.wait(0, 6*time.Millisecond) }

func (c crowd) inTime(n int) {
	c.busy.Release("", 0)
	for i := range n {
		require.True(c, c.newcomer(i).try())
		c.newcomer(i).release()
	}
}

func (c crowd) inactiveLate() {
	late := newcomer{c.ctl.Client("late"), ""}
	if c.tenants {
		late = newcomer{c.busy, "late"}
	}
	_, err := late.within(6 * time.Millisecond)
	require.ErrorIs(c, err, admission.ErrTimeout)
}

// busyAgain lets the busy one have every permit.
func (c crowd) busyAgain() {
	<-time.After(time.Second) // nobody else is active any more
	require.True(c, c.busy.TryAcquire(""))
	for i := range 6 {
		require.False(c, c.newcomer(i).try())
	}
}

// lessDidNotDo has more kept, and less, n times, and more again.
func (c crowd) lessDidNotDo(n int) {
	c.late()
	for i := range n {
		c.inTime(min(128<<i, 1024))
		c.busyAgain()
		c.late()
	}
}

// grantedLate waits for longer than is in time, and gets a permit.
func (c crowd) grantedLate() {
	go func() {
		<-time.After(6 * time.Millisecond)
		c.busy.Release("", 0)
	}()
	waited, err := c.newcomer(0).within(0)
	require.NoError(c, err)
	require.Equal(c, 6*time.Millisecond, waited)
	c.newcomer(0).release()
}

func (c crowd) busyLate() {
	_, err := c.busy.AcquireWithin(context.Background(), "", 6*time.Millisecond)
	require.ErrorIs(c, err, admission.ErrTimeout)
}

func TestHeadroomIsAtMostAQuarter(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ capacity, headroom, want int }{
		{1, 0, 0}, {2, 0, 0}, {3, 0, 0}, {4, 0, 1}, {7, 0, 1}, {8, 0, 2}, {20, 0, 2}, {20, -1, 0}, {20, 1, 1}, {20, 4, 4}, {8, 4, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, false, admission.Config{Capacity: tt.capacity, Headroom: tt.headroom})
			defer c.ctl.Close()
			for range 9 {
				c.late()
			}
			assert.Equal(t, tt.want, c.ctl.Stats().Headroom, tt)
			for range tt.capacity {
				c.busy.Release("", 0)
			}
			got := 0
			for c.busy.TryAcquire("") {
				got++
			}
			assert.Equal(t, tt.capacity-tt.want, got, tt)
			for i := range tt.want {
				assert.True(t, c.newcomer(i).try(), tt)
				assert.False(t, c.newcomer(i).try(), "the headroom is for those that hold nothing")
			}
		})
	}
}

// TestHowMuchIsKept: one permit, and two while those who hold nothing wait for long.
func TestHowMuchIsKept(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before func(crowd)
		want   int
	}{
		"nothing happened":              {func(crowd) {}, 1},
		"short waits":                   {func(c crowd) { c.wait(0, 5*time.Millisecond); c.wait(1, time.Millisecond) }, 1},
		"a long one":                    {crowd.late, 2},
		"a long one, then 127 in time":  {func(c crowd) { c.late(); c.inTime(127) }, 2},
		"a long one, then 128":          {func(c crowd) { c.late(); c.inTime(128) }, 1},
		"two long ones, then 128":       {func(c crowd) { c.late(); c.late(); c.inTime(128) }, 2},
		"two long ones, then 256":       {func(c crowd) { c.late(); c.late(); c.inTime(256) }, 1},
		"less did not do, then 255":     {func(c crowd) { c.lessDidNotDo(1); c.inTime(255) }, 2},
		"less did not do, then 256":     {func(c crowd) { c.lessDidNotDo(1); c.inTime(256) }, 1},
		"nor did it again, then 511":    {func(c crowd) { c.lessDidNotDo(2); c.inTime(511) }, 2},
		"nor ever, then 1023":           {func(c crowd) { c.lessDidNotDo(6); c.inTime(1023) }, 2},
		"nor ever, then 1024":           {func(c crowd) { c.lessDidNotDo(6); c.inTime(1024) }, 1},
		"then it did, and 128 do again": {func(c crowd) { c.lessDidNotDo(1); c.inTime(512); c.busyAgain(); c.late(); c.inTime(128) }, 1},
		"one that gets a permit late":   {crowd.grantedLate, 2},
		"a refusal":                     {func(c crowd) { require.False(c, c.newcomer(0).try()) }, 1},
		"one of a client that has some": {crowd.busyLate, 1},
		"one that was not active":       {crowd.inactiveLate, 1},
	} {
		for _, tenants := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				c := newCrowd(t, tenants, admission.Config{Capacity: 8})
				tt.before(c)
				assert.Equal(t, tt.want, c.ctl.Stats().Headroom, "%s, tenants %v", name, tenants)
				c.ctl.Close()
			})
		}
	}
}

// TestHalfAPermitIsLent: after one long wait two permits are kept, but for what comes
// back from those who hold nothing.
func TestHalfAPermitIsLent(t *testing.T) {
	t.Parallel()
	for _, tenants := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := newCrowd(t, tenants, admission.Config{Capacity: 8})
			defer c.ctl.Close()
			c.late()
			granted := make(chan error, 8)
			for range 8 {
				go func() { granted <- c.busy.Acquire(context.Background(), "") }()
			}
			synctest.Wait()
			c.busy.Release("", 0)
			c.busy.Release("", 0)
			synctest.Wait()
			require.Empty(t, granted, "two are kept")
			require.True(t, c.newcomer(0).try())
			c.newcomer(0).release()
			synctest.Wait()
			require.Len(t, granted, 1, "one is lent")
			require.True(t, c.newcomer(0).try())
			c.newcomer(0).release()
			synctest.Wait()
			require.Len(t, granted, 1, "and one is not")
			c.busy.Release("", 0)
			synctest.Wait()
			require.Len(t, granted, 1, "what the busy one gives back is kept again")
			require.Equal(t, 2, c.ctl.Stats().Free)
		})
	}
}
