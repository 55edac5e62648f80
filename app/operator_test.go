package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/testkit"
)

func TestATenantChangesNothingForAllTenants(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(newAPI(t, testkit.Swap(t)))
	t.Cleanup(s.Close)
	for _, op := range []struct{ method, path, body string }{
		{http.MethodPut, "/web/rate-limits/example.com", `{"status": "blocked"}`},
		{http.MethodPut, "/knowledge/providers/local", `{"available": false}`},
		{http.MethodPost, "/verification/methods/cross_reference/runs", `{"success": false}`},
		{http.MethodPut, "/queue/settings", `{}`},
		{http.MethodPut, "/verification/methods/cross_reference", `{}`},
	} {
		status, body := call(t, op.method, s.URL+op.path, "acme", op.body)
		require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, status, "%s %s: %s", op.method, op.path, body)
	}
	status, body := call(t, http.MethodGet, s.URL+"/verification/methods", "acme", "")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, body, `"failed_requests":1`)
}

func TestStatsNameNoTenant(t *testing.T) {
	t.Parallel()
	s := newServer(t, testkit.Swap(t))
	for _, name := range []string{"acme-secret", "globex-secret"} {
		status, _ := call(t, http.MethodGet, s.URL+"/agents/stats", name, "")
		require.Equal(t, http.StatusOK, status)
	}
	status, body := call(t, http.MethodGet, s.URL+"/stats", "", "")
	require.Equal(t, http.StatusOK, status)
	require.NotContains(t, body, "-secret")
	var stats struct{ Tenants []fxdb.TenantStats }
	require.NoError(t, json.Unmarshal([]byte(body), &stats))
	require.Len(t, stats.Tenants, 2, "their figures stay")
	require.Positive(t, stats.Tenants[0].Acquired)
}
