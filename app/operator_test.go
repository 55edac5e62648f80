package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestATenantChangesNothingForAllTenants(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := httptest.NewServer(newAPI(t, testkit.Swap(t)))
	t.Cleanup(s.Close)
	before := sharedAnswers(t, s.URL, "globex")
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
	// What a tenant may write, of the methods and sites of all tenants, changes nothing either.
	for _, op := range []struct {
		method, path, body string
		status             int
	}{
		{http.MethodPost, "/verification/requests", `{"id": "r", "content": "x"}`, 201},
		{http.MethodPost, "/verification/requests/r/results", `{"verdict": "error", "confidence": 0, "methods": [{"method": "cross_reference", "verdict": "error", "confidence": 0, "processing_time_ns": 0, "err": "acme patient 4711"}]}`, 201},
		{http.MethodPost, "/web/rate-limits/example.com/requests", `{"limit": 1}`, 200},
	} {
		status, body := call(t, op.method, s.URL+op.path, "acme", op.body)
		require.Equal(t, op.status, status, "%s %s: %s", op.method, op.path, body)
	}
	require.Contains(t, sharedAnswers(t, s.URL, "acme")["/verification/methods"], "acme patient 4711", "acme reads its own")
	require.Equal(t, before, sharedAnswers(t, s.URL, "globex"))
}

// sharedAnswers is what a tenant reads of what belongs to all tenants.
func sharedAnswers(t *testing.T, url, tenant string) map[string]string {
	t.Helper()
	answers := map[string]string{}
	for _, path := range []string{
		"/verification/methods", "/queue/settings", "/web/rate-limits", "/web/rate-limits/example.com", "/knowledge/providers/local",
	} {
		status, body := call(t, http.MethodGet, url+path, tenant, "")
		answers[path] = fmt.Sprint(status)
		if status == http.StatusOK { // the others have an id of their request
			answers[path] += " " + body
		}
	}
	return answers
}

func TestStatsNameNoTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := newServer(t, testkit.Swap(t))
	for _, name := range []string{"acme-secret", "globex-secret"} {
		status, _ := call(t, http.MethodGet, s.URL+"/agents/stats", name, "")
		require.Equal(t, http.StatusOK, status)
	}
	for header, value := range map[string]string{
		"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1", "X-Real-IP": "10.0.0.1", "X-Tenant-ID": "acme-secret",
	} {
		body := statsFor(t, s.URL, header, value)
		require.NotContains(t, body, "-secret", header)
		var stats struct{ Tenants []fxdb.TenantStats }
		require.NoError(t, json.Unmarshal([]byte(body), &stats))
		require.Len(t, stats.Tenants, 2, "their figures stay")
		require.Positive(t, stats.Tenants[0].Acquired)
	}
	body := statsFor(t, s.URL, "", "")
	require.Contains(t, body, "acme-secret", "who asks on this machine is an operator")
	require.Contains(t, body, "globex-secret")
}

// statsFor is what /stats answers to a request with one header.
func statsFor(t *testing.T, url, header, value string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/stats", nil)
	require.NoError(t, err)
	if header != "" {
		r.Header.Set(header, value)
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return string(b)
}

func TestStatsNameTenantsToWhoHasTheToken(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := newServer(t, testkit.Swap(t), fx.Supply(operatorToken("open sesame")))
	status, _ := call(t, http.MethodGet, s.URL+"/agents/stats", "acme-secret", "")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, statsFor(t, s.URL, "Authorization", "Bearer open sesame"), "acme-secret")
	for _, wrong := range []string{"", "Bearer ", "Bearer open", "open sesame", "Bearer open sesame!", "Basic open sesame"} {
		require.NotContains(t, statsFor(t, s.URL, "Authorization", wrong), "acme-secret", wrong)
	}
}

func TestAnOperatorWithoutATokenAsksOnThisMachine(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"127.0.0.1:9": true, "127.8.0.1:9": true, "[::1]:9": true, "[::ffff:127.0.0.1]:9": true,
		"10.0.0.1:9": false, "[2001:db8::1]:9": false, "": false, "@": false, "127.0.0.1": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/stats", nil)
		r.RemoteAddr = address
		require.Equal(t, want, operatorToken("").admits(r), address)
		require.False(t, operatorToken("x").admits(r), "a token is asked for wherever there is one")
	}
}
