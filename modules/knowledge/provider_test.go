package knowledge_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
)

func TestProviderHealthCountsFailuresInARow(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	up := knowledge.ProviderHealth{Available: true, ResponseTimeMS: 250, ErrorRate: 0.01, RequestsThisMinute: 10, RequestsThisHour: 500}
	require.NoError(t, c.SetProviderHealth(t.Context(), "google", up))
	got, err := c.ProviderHealth(as(t, "globex"), "google")
	require.NoError(t, err)
	require.Equal(t, up, got, "health is the same for all tenants")

	down := knowledge.ProviderHealth{ErrorRate: 1, LastError: "refused"}
	for i := range 3 {
		require.NoError(t, c.SetProviderHealth(t.Context(), "google", down))
		got, err = c.ProviderHealth(t.Context(), "google")
		require.NoError(t, err)
		require.Equal(t, i+1, got.ConsecutiveFailures)
	}
	down.LastError = ""
	require.NoError(t, c.SetProviderHealth(t.Context(), "google", down))
	up.ConsecutiveFailures = 77
	require.NoError(t, c.SetProviderHealth(t.Context(), "google", up))
	got, err = c.ProviderHealth(t.Context(), "google")
	require.NoError(t, err)
	up.ConsecutiveFailures, up.LastError = 0, "refused"
	require.Equal(t, up, got, "the last error stays known")
	var at, checked time.Time
	scan(t, t.Context(), db, "select last_error_at, last_health_check from knowledge.provider_health", &at, &checked)
	require.True(t, at.Before(checked))

	require.NoError(t, c.SetProviderHealth(t.Context(), "bing", knowledge.ProviderHealth{}))
	got, err = c.ProviderHealth(t.Context(), "bing")
	require.NoError(t, err)
	require.Equal(t, knowledge.ProviderHealth{ConsecutiveFailures: 1}, got)
	exec(t, t.Context(), db, "update knowledge.provider_health set avg_response_time_ms = null")
	_, err = c.ProviderHealth(t.Context(), "bing")
	require.NoError(t, err, "a figure that is not known is 0")

	_, err = c.ProviderHealth(t.Context(), "x")
	require.ErrorIs(t, err, knowledge.ErrProviderNotFound)
	require.ErrorIs(t, err, modules.ErrNotFound)
	_, err = c.ProviderHealth(t.Context(), "")
	require.ErrorIs(t, err, modules.ErrInvalid)
	for must, h := range map[string]knowledge.ProviderHealth{
		"response_time_ms":     {ResponseTimeMS: math.NaN()},
		"error_rate":           {ErrorRate: 1.5},
		"requests_this_minute": {RequestsThisMinute: -1},
		"requests_this_hour":   {RequestsThisHour: -1},
		"last_error":           {LastError: "\x00"},
	} {
		err := c.SetProviderHealth(t.Context(), "google", h)
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, must)
	}
}

func TestConcurrentFailuresAreAllCounted(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	together(t, 30, func(int) error { return c.SetProviderHealth(t.Context(), "google", knowledge.ProviderHealth{}) })
	got, err := c.ProviderHealth(t.Context(), "google")
	require.NoError(t, err)
	require.Equal(t, 30, got.ConsecutiveFailures)
}
