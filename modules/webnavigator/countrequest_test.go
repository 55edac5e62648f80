package webnavigator_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/webnavigator"
)

// counting counts a request, and fails the test if that fails.
func counting(t testing.TB, c *webnavigator.Client) func(ctx context.Context, window time.Duration, limit int) webnavigator.Decision {
	return func(ctx context.Context, window time.Duration, limit int) webnavigator.Decision {
		t.Helper()
		d, err := c.CountRequest(ctx, site, window, limit)
		require.NoError(t, err)
		return d
	}
}

func setLimit(t testing.TB, c *webnavigator.Client, l webnavigator.RateLimit) {
	t.Helper()
	l.Domain = site
	if l.Status == "" {
		l.Status = webnavigator.RateOK
	}
	require.NoError(t, c.SetRateLimit(t.Context(), l))
}

func TestCountRequestAllowsATenantUpToTheLimit(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	count, acme, globex := counting(t, c), as(t, "acme"), as(t, "globex")
	for i := range 4 {
		d, err := c.CountRequest(acme, []string{"Example.ORG", "example.org."}[i%2], time.Hour, 3)
		require.NoError(t, err)
		require.Equal(t, i+1, d.Count, "a site has one name")
		require.Equal(t, i < 3, d.Allowed)
		if d.Allowed {
			require.Zero(t, d.RetryAfter)
		} else {
			require.InDelta(t, time.Hour, d.RetryAfter, float64(time.Minute))
		}
	}
	require.Equal(t, webnavigator.Decision{Count: 1, Allowed: true}, count(globex, time.Hour, 1), "a tenant's requests count against no other")

	// The window ends and another begins.
	exec(t, acme, db, "update web.tenant_requests set window_end = now()")
	l, found, err := c.RateLimit(acme, site)
	require.NoError(t, err)
	require.True(t, found)
	require.Zero(t, l.RequestsInWindow, "an ended window holds none")
	require.Equal(t, webnavigator.Decision{Count: 1, Allowed: true}, count(acme, 0, 3))
	l, _, err = c.RateLimit(acme, "EXAMPLE.org.")
	require.NoError(t, err)
	require.Equal(t, []any{site, webnavigator.RateOK, 1, int64(5)}, []any{l.Domain, l.Status, l.RequestsInWindow, l.TotalRequests})
	require.WithinDuration(t, time.Now().Add(webnavigator.DefaultWindow), l.WindowResetAt, 30*time.Second)
	require.WithinDuration(t, time.Now(), l.LastRequestAt, 30*time.Second)

	for _, stranger := range []context.Context{as(t, "initech"), t.Context()} {
		_, found, err = c.RateLimit(stranger, site)
		require.NoError(t, err)
		require.False(t, found, "a tenant's sites are the tenant's text")
	}
}

// The first caller's window held for everybody, for 292 years.
func TestALongWindowEndsWithAShorterOne(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	count, acme := counting(t, c), as(t, "acme")
	require.True(t, count(acme, webnavigator.MaxWindow, 1).Allowed)
	d := count(acme, time.Minute, 1)
	require.False(t, d.Allowed)
	require.LessOrEqual(t, d.RetryAfter, time.Minute)
}

func TestAnOperatorsLimitsComeFirst(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	count, acme, globex := counting(t, c), as(t, "acme"), as(t, "globex")
	setLimit(t, c, webnavigator.RateLimit{Window: time.Minute, TenantLimit: 2, TotalLimit: 3})
	require.True(t, count(acme, webnavigator.MaxWindow, 100).Allowed)
	require.True(t, count(acme, webnavigator.MaxWindow, 100).Allowed)
	for range 3 { // those that are not allowed count against nobody
		d := count(acme, webnavigator.MaxWindow, 100)
		require.False(t, d.Allowed, "the limit of one tenant")
		require.LessOrEqual(t, d.RetryAfter, time.Minute, "the operator's window")
	}
	require.False(t, func() bool { count(globex, 0, 1); return count(globex, 0, 1).Allowed }(), "the caller's own limit is lower")
	d := count(as(t, "initech"), 0, 100)
	require.False(t, d.Allowed, "the limit of all tenants together")
	require.Positive(t, d.RetryAfter)
	require.LessOrEqual(t, d.RetryAfter, time.Minute)

	// What the site itself has counted is part of the sum, until its window ends.
	setLimit(t, c, webnavigator.RateLimit{TenantLimit: 100, TotalLimit: 7, RequestsInWindow: 3, WindowResetAt: time.Now().Add(time.Hour)})
	require.True(t, count(acme, 0, 100).Allowed)
	require.False(t, count(acme, 0, 100).Allowed)
	exec(t, t.Context(), db, "update web.rate_limits set window_end = now()")
	require.True(t, count(acme, 0, 100).Allowed)

	// A counter that is full stays full.
	exec(t, acme, db, "update web.tenant_requests set requests_in_window = 2147483647")
	require.Equal(t, math.MaxInt32, count(acme, 0, math.MaxInt32).Count)
}

func TestCountRequestWaitsForABackoff(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme := as(t, "acme")
	count := func(limit int) webnavigator.Decision { return counting(t, c)(acme, time.Hour, limit) }
	until := func(d time.Duration) *time.Time { return ptr(time.Now().Add(d)) }
	setLimit(t, c, webnavigator.RateLimit{Status: webnavigator.RateThrottled, BackoffUntil: until(10 * time.Minute)})
	d := count(100)
	require.False(t, d.Allowed)
	require.InDelta(t, 10*time.Minute, d.RetryAfter, float64(time.Minute))
	for range 3 {
		d = count(1)
	}
	require.False(t, d.Allowed)
	require.InDelta(t, time.Hour, d.RetryAfter, float64(time.Minute), "the window is the longer wait")
	setLimit(t, c, webnavigator.RateLimit{Status: webnavigator.RateBlocked})
	d = count(100)
	require.False(t, d.Allowed)
	require.Positive(t, d.RetryAfter)
	setLimit(t, c, webnavigator.RateLimit{Status: webnavigator.RateThrottled, BackoffUntil: until(time.Hour)})
	exec(t, t.Context(), db, "update web.rate_limits set backoff_until = now() - interval '1 second'")
	require.True(t, count(100).Allowed, "the backoff has ended")
	l, _, err := c.RateLimit(t.Context(), site)
	require.NoError(t, err)
	require.Equal(t, webnavigator.RateOK, l.Status)
	require.Nil(t, l.BackoffUntil)
}

func TestConcurrentRequestsAreAllCounted(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	acme := as(t, "acme")
	allowed := make(chan bool, 50)
	together(t, 50, func(int) error {
		d, err := c.CountRequest(acme, site, time.Hour, 20)
		allowed <- d.Allowed
		return err
	})
	sent := 0
	for range 50 {
		if <-allowed {
			sent++
		}
	}
	require.Equal(t, 20, sent)
	l, _, err := c.RateLimit(acme, site)
	require.NoError(t, err)
	require.Equal(t, 50, l.RequestsInWindow)
}

// The sum is of rows that a tenant can't make up for another.
func TestATenantWritesTheCountsOfItsOwnAlone(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	acme := as(t, "acme")
	setLimit(t, c, webnavigator.RateLimit{TotalLimit: 10})
	counting(t, c)(acme, 0, 1)
	for _, sql := range []string{
		"update web.site_requests set requests = 0", "delete from web.site_requests", "update web.site_requests set shard = 1",
		"insert into web.site_requests (domain, shard, requests, window_end) select domain, 1, 9, now() from web.rate_limits",
	} {
		_, err := db.Exec(as(t, "globex"), sql)
		require.ErrorIs(t, modules.Classify(err), modules.ErrForbidden, sql)
	}
	exec(t, acme, db, "update web.site_requests set requests = 0")
	exec(t, acme, db, "delete from web.site_requests")
	counting(t, c)(acme, 0, 1)
	exec(t, t.Context(), db, "delete from web.rate_limits") // an operator's, with all counts
	var left int
	scan(t, t.Context(), db, "select count(*) from web.site_requests", &left)
	require.Zero(t, left)
}
