package webnavigator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/webnavigator"
)

const site = "example.org"

func TestCountRequestAllowsUpToTheLimit(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	for i, ctx := range []int{1, 2, 3, 4} {
		d, err := c.CountRequest(as(t, []string{"acme", "globex"}[i%2]), "Example.ORG", time.Hour, 3)
		require.NoError(t, err)
		require.Equal(t, ctx, d.Count, "tenants are counted together")
		require.Equal(t, i < 3, d.Allowed)
		if d.Allowed {
			require.Zero(t, d.RetryAfter)
		} else {
			require.InDelta(t, time.Hour, d.RetryAfter, float64(time.Minute))
		}
	}
	// The window ends and another begins.
	exec(t, t.Context(), db, "update web.rate_limits set window_start = now() - interval '1 hour', window_end = now()")
	l, found, err := c.RateLimit(t.Context(), site)
	require.NoError(t, err)
	require.True(t, found)
	require.Zero(t, l.RequestsInWindow, "an ended window holds none")
	d, err := c.CountRequest(t.Context(), site, 0, 3)
	require.NoError(t, err)
	require.Equal(t, webnavigator.Decision{Count: 1, Allowed: true}, d)
	l, _, err = c.RateLimit(t.Context(), "EXAMPLE.org")
	require.NoError(t, err)
	require.Equal(t, 1, l.RequestsInWindow)
	require.EqualValues(t, 5, l.TotalRequests)
	require.WithinDuration(t, time.Now().Add(webnavigator.DefaultWindow), l.WindowResetAt, 30*time.Second)
	require.WithinDuration(t, time.Now(), l.LastRequestAt, 30*time.Second)

	_, found, err = c.RateLimit(t.Context(), "x.org")
	require.NoError(t, err)
	require.False(t, found)
}

func TestCountRequestWaitsForABackoff(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	set := func(status webnavigator.RateStatus, until *time.Time) {
		t.Helper()
		require.NoError(t, c.SetRateLimit(t.Context(), webnavigator.RateLimit{Domain: site, Status: status, BackoffUntil: until}))
	}
	count := func(limit int) webnavigator.Decision {
		t.Helper()
		d, err := c.CountRequest(t.Context(), site, time.Hour, limit)
		require.NoError(t, err)
		return d
	}
	set(webnavigator.RateThrottled, ptr(time.Now().Add(10*time.Minute)))
	d := count(100)
	require.False(t, d.Allowed)
	require.InDelta(t, 10*time.Minute, d.RetryAfter, float64(time.Minute))
	for range 3 {
		d = count(1)
	}
	require.False(t, d.Allowed)
	require.InDelta(t, time.Hour, d.RetryAfter, float64(time.Minute), "the window is the longer wait")
	set(webnavigator.RateBlocked, nil)
	d = count(100)
	require.False(t, d.Allowed)
	require.Positive(t, d.RetryAfter)
	set(webnavigator.RateThrottled, ptr(time.Now().Add(time.Hour)))
	exec(t, t.Context(), db, "update web.rate_limits set backoff_until = now() - interval '1 second'")
	require.True(t, count(100).Allowed, "the backoff has ended")
	l, _, err := c.RateLimit(t.Context(), site)
	require.NoError(t, err)
	require.Equal(t, webnavigator.RateOK, l.Status)
	require.Nil(t, l.BackoffUntil)
}

func TestSetRateLimitCountsBackoffsAndErrors(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	at := time.Now().Add(-time.Minute).Truncate(time.Microsecond)
	end := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	set := func(l webnavigator.RateLimit) webnavigator.RateLimit {
		t.Helper()
		l.Domain = site
		require.NoError(t, c.SetRateLimit(t.Context(), l))
		got, found, err := c.RateLimit(t.Context(), site)
		require.NoError(t, err)
		require.True(t, found)
		return got
	}
	got := set(webnavigator.RateLimit{Status: webnavigator.RateOK, RequestsInWindow: 7, WindowResetAt: end, LastRequestAt: at, BackoffUntil: &end})
	require.Equal(t, []any{site, webnavigator.RateOK, 7, 0, 0, int64(0), ""}, []any{got.Domain, got.Status, got.RequestsInWindow, got.BackoffCount, got.ConsecutiveErrors, got.TotalRequests, got.LastError})
	require.Nil(t, got.BackoffUntil, "a site that is ok is not backed off from")
	require.True(t, at.Equal(got.LastRequestAt) && end.Equal(got.WindowResetAt))

	got = set(webnavigator.RateLimit{Status: webnavigator.RateThrottled, BackoffUntil: &end, LastError: "429"})
	require.Equal(t, []any{1, 1, "429"}, []any{got.BackoffCount, got.ConsecutiveErrors, got.LastError})
	require.True(t, end.Equal(*got.BackoffUntil) && at.Equal(got.LastRequestAt) && end.Equal(got.WindowResetAt), "what is not given stays")
	require.Equal(t, 7, got.RequestsInWindow, "so do the requests that were counted")
	got = set(webnavigator.RateLimit{Status: webnavigator.RateBlocked, BackoffUntil: &end, LastError: "403"})
	require.Equal(t, []any{1, 2, "403"}, []any{got.BackoffCount, got.ConsecutiveErrors, got.LastError}, "it is the same backoff")
	exec(t, t.Context(), db, "update web.rate_limits set backoff_until = now(), window_start = now() - interval '1 day'")
	got = set(webnavigator.RateLimit{Status: webnavigator.RateThrottled, BackoffUntil: &end, WindowResetAt: end.Add(time.Hour)})
	require.Equal(t, []any{2, 2, "403"}, []any{got.BackoffCount, got.ConsecutiveErrors, got.LastError}, "the one before had ended")
	var fresh, erred bool
	scan(t, t.Context(), db, "select window_start > now() - interval '1 minute', last_error_at is not null from web.rate_limits", &fresh, &erred)
	require.True(t, fresh && erred)
	got = set(webnavigator.RateLimit{Status: webnavigator.RateOK})
	require.Equal(t, []any{0, 0, int64(0)}, []any{got.BackoffCount, got.ConsecutiveErrors, got.TotalRequests})

	require.NoError(t, c.SetRateLimit(t.Context(), webnavigator.RateLimit{Domain: "b.org", Status: webnavigator.RateBlocked}))
	require.NoError(t, c.SetRateLimit(t.Context(), webnavigator.RateLimit{Domain: "a.org", Status: webnavigator.RateThrottled, BackoffUntil: &end}))
	require.NoError(t, c.SetRateLimit(t.Context(), webnavigator.RateLimit{Domain: "past.org", Status: webnavigator.RateThrottled, BackoffUntil: &at}))
	limited, err := c.LimitedDomains(t.Context())
	require.NoError(t, err)
	require.Len(t, limited, 2)
	require.Equal(t, "a.org", limited[0].Domain)
	require.InDelta(t, time.Hour, limited[0].RetryAfter, float64(time.Minute))
	require.Equal(t, webnavigator.LimitedDomain{Domain: "b.org", Status: webnavigator.RateBlocked}, limited[1])
	b, _, err := c.RateLimit(t.Context(), "b.org")
	require.NoError(t, err)
	require.Equal(t, 1, b.BackoffCount)
}

func TestRateLimitsNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	count := func(domain string, window time.Duration, limit int) error {
		_, err := c.CountRequest(t.Context(), domain, window, limit)
		return err
	}
	_, _, blank := c.RateLimit(t.Context(), " ")
	ok := webnavigator.RateLimit{Domain: site, Status: webnavigator.RateOK}
	with := func(change func(*webnavigator.RateLimit)) error {
		l := ok
		change(&l)
		return c.SetRateLimit(t.Context(), l)
	}
	for must, err := range map[string]error{
		"domain must not be blank":            blank,
		"domain must be at most 253 bytes":    count(strings.Repeat("x", 254), 0, 1),
		"window must be at least 1ms":         count(site, -1, 1),
		"limit must be from 1":                count(site, 0, 0),
		"status must be one of":               with(func(l *webnavigator.RateLimit) { l.Status = "" }),
		"requests_in_window must be from 0":   with(func(l *webnavigator.RateLimit) { l.RequestsInWindow = -1 }),
		"last_error must be text":             with(func(l *webnavigator.RateLimit) { l.LastError = "\x00" }),
		"domain must not be blank, of course": with(func(l *webnavigator.RateLimit) { l.Domain = "" }),
	} {
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, strings.TrimSuffix(must, ", of course"))
	}
}

func TestConcurrentRequestsAreAllCounted(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	allowed := make(chan bool, 50)
	together(t, 50, func(int) error {
		d, err := c.CountRequest(t.Context(), site, time.Hour, 20)
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
	l, _, err := c.RateLimit(t.Context(), site)
	require.NoError(t, err)
	require.Equal(t, 50, l.RequestsInWindow)
}
