package webnavigator_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/webnavigator"
)

const site = "example.org"

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
	exec(t, t.Context(), db, "update web.rate_limits set backoff_until = now()")
	got = set(webnavigator.RateLimit{Status: webnavigator.RateThrottled, BackoffUntil: &end, WindowResetAt: end.Add(time.Hour)})
	require.Equal(t, []any{2, 2, "403"}, []any{got.BackoffCount, got.ConsecutiveErrors, got.LastError}, "the one before had ended")
	var erred bool
	scan(t, t.Context(), db, "select last_error_at is not null from web.rate_limits", &erred)
	require.True(t, erred)
	got = set(webnavigator.RateLimit{Status: webnavigator.RateOK})
	require.Equal(t, []any{0, 0, int64(0)}, []any{got.BackoffCount, got.ConsecutiveErrors, got.TotalRequests})
	require.Zero(t, got.Window+time.Duration(got.TenantLimit+got.TotalLimit), "no operator has set a limit")
	set(webnavigator.RateLimit{Status: webnavigator.RateOK, Window: time.Second, TenantLimit: 3, TotalLimit: 5})
	got = set(webnavigator.RateLimit{Status: webnavigator.RateOK})
	require.Equal(t, []any{time.Second, 3, 5}, []any{got.Window, got.TenantLimit, got.TotalLimit}, "what is not given stays")

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
	acme := as(t, "acme")
	count := func(domain string, window time.Duration, limit int) error {
		_, err := c.CountRequest(acme, domain, window, limit)
		return err
	}
	_, _, blank := c.RateLimit(t.Context(), " ")
	ok := webnavigator.RateLimit{Domain: site, Status: webnavigator.RateOK}
	with := func(change func(*webnavigator.RateLimit)) error {
		l := ok
		change(&l)
		return c.SetRateLimit(t.Context(), l)
	}
	const window = "window_ns must be from 1 ms to 24 h"
	for _, refused := range []struct {
		must string
		err  error
	}{
		{"domain must not be blank", blank},
		{"domain must not be blank", with(func(l *webnavigator.RateLimit) { l.Domain = "" })},
		{"domain must be at most 253 bytes", count(strings.Repeat("x", 254), 0, 1)},
		{"domain must be a host name", count("http://example.com", 0, 1)},
		{"domain must be a host name", count("example.com:80", 0, 1)},
		{"domain must be a host name", count("example.com/a", 0, 1)},
		{"domain must be a host name", count("exämple.com", 0, 1)},
		{"domain must be a host name", count("a..b", 0, 1)},
		{"domain must be a host name", count("-a.b", 0, 1)},
		{window, count(site, -1, 1)},
		{window, count(site, time.Millisecond-1, 1)},
		{window, count(site, webnavigator.MaxWindow+1, 1)},
		{window, count(site, math.MaxInt64, 1)},
		{"limit must be from 1", count(site, 0, 0)},
		{"status must be one of", with(func(l *webnavigator.RateLimit) { l.Status = "" })},
		{"requests_in_window must be from 0", with(func(l *webnavigator.RateLimit) { l.RequestsInWindow = -1 })},
		{"last_error must be text", with(func(l *webnavigator.RateLimit) { l.LastError = "\x00" })},
		{window, with(func(l *webnavigator.RateLimit) { l.Window = webnavigator.MaxWindow + 1 })},
		{"tenant_limit must be from 0", with(func(l *webnavigator.RateLimit) { l.TenantLimit = -1 })},
		{"total_limit must be from 0", with(func(l *webnavigator.RateLimit) { l.TotalLimit = -1 })},
	} {
		require.ErrorIs(t, refused.err, modules.ErrInvalid, refused.must)
		require.ErrorContains(t, refused.err, refused.must)
	}
}
