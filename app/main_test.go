package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// The test binary is the server too, for tests that need a process to signal.
func TestMain(m *testing.M) {
	if os.Getenv("ONEPOOL_APP_TEST_RUN") != "" {
		main()
		return
	}
	size.Parallel(4)
	os.Exit(m.Run())
}

// newServer serves the API on a database of this test's own, and holds all of its
// traffic to the contract.
func newServer(t testing.TB, opts ...fx.Option) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(holdTo(t, newAPI(t, opts...)))
	t.Cleanup(s.Close)
	return s
}

func newAPI(t testing.TB, opts ...fx.Option) (h http.Handler) {
	t.Helper()
	app := fxtest.New(t, agency, fx.NopLogger, fx.Supply(zap.NewNop()), fx.Populate(&h), fx.Options(opts...))
	app.RequireStart()
	t.Cleanup(app.RequireStop)
	return h
}

func call(t testing.TB, method, url, tenant, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	if tenant != "" {
		r.Header.Set("X-Tenant-ID", tenant)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if len(b) > 0 {
		media := "application/json"
		if resp.StatusCode >= http.StatusBadRequest && !strings.HasSuffix(url, "/readyz") {
			media = problemMedia
		}
		require.Equal(t, media, resp.Header.Get("Content-Type"), "%s %s", method, url)
	}
	return resp.StatusCode, string(b)
}

const ada = `{"id": "ada", "name": "Ada", "model_family": "claude-3.5", "capabilities": {"task_types": ["research"], "languages": ["Go"]}}`

// TestAPI is one story: the steps build on each other.
func TestAPI(t *testing.T) {
	t.Parallel()
	s := newServer(t, testkit.Swap(t))
	for _, step := range []struct {
		method, path, tenant, body string
		status                     int
		want                       string // part of the answer
	}{
		{"GET", "/livez", "", "", 200, `"alive"`},
		{"GET", "/readyz", "", "", 200, `"ready":true`},
		{"GET", "/stats", "", "", 200, `"max":10`},

		{"POST", "/agents", "", ada, 400, `"type":"/problems/tenant_required"`},
		{"POST", "/agents", " ", ada, 400, `"type":"/problems/tenant_invalid"`},
		{"POST", "/agents", "acme", ada, 201, `"id":"ada"`},
		{"POST", "/agents", "acme", ada, 409, `"detail":"the tenant has this id already"`},
		{"POST", "/agents", "globex", ada, 201, `"id":"ada"`},
		{"POST", "/agents", "acme", `{"name": "Bob", "model_family": "gpt-4"}`, 201, `"name":"Bob"`},
		{"POST", "/agents", "acme", `{"name": "", "model_family": "gpt-4"}`, 400, `"detail":"name must not be blank"`},
		{"POST", "/agents", "acme", `{"name": "Eve", "model_family": "x", "tenant_id": "globex"}`, 400, `unknown field`},
		{"POST", "/agents", "acme", `{"name": "Eve"`, 400, `"type":"/problems/invalid"`},
		{"POST", "/agents", "acme", ada + ada, 400, `after top-level value`},
		{"POST", "/agents", "acme", ``, 400, `the body is empty`},
		{"POST", "/agents", "acme", `[]`, 400, `"type":"/problems/invalid"`},
		{"POST", "/agents", "acme", `{"name": "` + strings.Repeat("x", maxBody) + `"}`, 413, `"type":"/problems/too_large"`},

		{"GET", "/agents/ada", "acme", "", 200, `"languages":["Go"]`},
		{"GET", "/agents/ada", "initech", "", 404, `"detail":"agent not found"`},
		{"POST", "/agents/ada/performance", "acme", `{"success": true, "quality_score": 0.9, "latency_ms": 1200}`, 200, `"task_count":1`},
		{"POST", "/agents/ada/performance", "acme", `{"success": true, "quality_score": 2, "latency_ms": 1}`, 400, `quality_score must be from 0 to 1`},
		{"POST", "/agents/none/performance", "acme", `{"success": true, "quality_score": 1, "latency_ms": 1}`, 404, `"type":"/problems/not_found"`},

		{"POST", "/agents/ada/performance", "acme", `{"success": true}`, 400, `quality_score is missing`},
		{"POST", "/agents/ada/performance", "acme", `{"success": true, "quality_score": 0.5}`, 400, `latency_ms is missing`},
		{"GET", "/agents/ada", "acme", "", 200, `"task_count":1`},
		{"POST", "/agents", "acme", `{"id": "stats", "name": "S", "model_family": "x"}`, 400, `id must not be stats`},
		{"POST", "/agents", "acme", `{"id": "..", "name": "S", "model_family": "x"}`, 400, `id must not be . or ..`},
		{"POST", "/agents", "acme", `{"id": ".", "name": "S", "model_family": "x"}`, 400, `id must not be . or ..`},

		{"GET", "/agents", "acme", "", 200, `"id":"ada"`},
		{"GET", "/agents?task_type=research&language=Go&language=Rust&max_utilization=50&min_success_rate=0.5", "acme", "", 200, `"id":"ada"`},
		{"GET", "/agents?task_type=juggling", "acme", "", 200, `{"agents":[]}`},
		{"GET", "/agents?limit=1", "acme", "", 200, `"next":"`},
		{"GET", "/agents?limit=0", "acme", "", 400, `limit must be`},
		{"GET", "/agents?after=x", "acme", "", 400, `after must be a cursor`},
		{"GET", "/agents?after=x&task_type=y", "acme", "", 400, `after must be the next of an earlier page`},
		{"GET", "/agents?min_success_rate=0&limit=1", "acme", "", 200, `"next":"`},
		{"GET", "/agents/ada/performance", "acme", "", 200, `"latency_ms":1200`},
		{"GET", "/agents/none/performance", "acme", "", 404, `agent not found`},
		{"GET", "/agents?taskType=research", "acme", "", 400, `no parameter`},
		{"GET", "/agents?task_type=a&task_type=b", "acme", "", 400, `more than once`},
		{"GET", "/agents?max_utilization=lots", "acme", "", 400, `must be a number`},
		{"GET", "/agents/stats", "acme", "", 200, `"total_agents":2`},
		{"GET", "/agents/stats", "globex", "", 200, `"total_agents":1`},

		{"PATCH", "/agents/ada", "acme", `{"max_concurrent_tasks": 4}`, 204, ""},
		{"PATCH", "/agents/ada", "acme", `{"name": "Bob"}`, 409, `the tenant has this name already`},
		{"PATCH", "/agents/none", "acme", `{}`, 404, `agent not found`},
		{"POST", "/agents/ada/load", "acme", `{"active_delta": 2, "queued_delta": -1}`, 200, `{"active_tasks":2,"queued_tasks":0,"utilization_percent":50}`},
		{"POST", "/agents/none/load", "acme", `{"active_delta": 1}`, 404, `agent not found`},
		{"GET", "/agents/ada/stats", "acme", "", 200, `"total":{"count":1,`},
		{"GET", "/agents/none/stats", "acme", "", 404, `agent not found`},
		{"POST", "/agents/search", "acme", `{"languages": ["Go"], "limit": 5}`, 200, `"score":`},
		{"POST", "/agents/search", "acme", `{"limit": 1001}`, 400, `limit must be from 1 to 1000`},
		{"POST", "/agents/search", "acme", `{"limit": 1}`, 200, `"next":"`},
		{"POST", "/agents/search", "acme", `{"after": "x"}`, 400, `after must be the next of an earlier page`},
		{"POST", "/agents/purge", "acme", `{"inactive_for_ns": 3600000000000}`, 200, `{"count":0}`},
		{"POST", "/agents/purge", "acme", `{}`, 400, `must be more than 0`},

		{"DELETE", "/agents/ada", "acme", "", 204, ""},
		{"DELETE", "/agents/ada", "acme", "", 404, `"type":"/problems/not_found"`},
		{"GET", "/agents/ada", "globex", "", 200, `"id":"ada"`},

		{"PUT", "/agents/ada", "acme", "", 405, `takes GET, PATCH, DELETE`},
		{"DELETE", "/agents", "acme", "", 405, `takes GET, POST`},
		{"GET", "/nothing", "acme", "", 404, `"type":"/problems/not_found"`},
	} {
		status, body := call(t, step.method, s.URL+step.path, step.tenant, step.body)
		require.Equal(t, step.status, status, "%s %s as %q: %s", step.method, step.path, step.tenant, body)
		require.Contains(t, body, step.want, "%s %s", step.method, step.path)
		if status >= 400 {
			var p problem
			require.NoError(t, json.Unmarshal([]byte(body), &p))
			require.NotEmpty(t, p.Title)
			require.NotEmpty(t, p.Detail)
			require.Equal(t, status, p.Status)
		}
	}
	s.Config.Handler.(*contract).requireAllOf("agents")
}

func TestAHundredRequestsAtOnceUseNoMoreBackendsThanThePool(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestInvariantI1AllFiveClientsShareOnePoolAsTheServerSeesIt")
	server := pgfault.Start(t)
	server.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(t.Context(), "create database app owner "+devdb.RoleOwner)
		require.NoError(t, err)
	})
	s := httptest.NewServer(newAPI(t, fx.Replace(fxdb.Config{
		URL: server.DatabaseURL(devdb.RoleApp, "app"), MigrateURL: server.DatabaseURL(devdb.RoleOwner, "app"),
		Migrate: true, PoolMax: 5, ApplicationName: "agency",
	})))
	t.Cleanup(s.Close)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	watched := make(chan error, 1)
	most := 0
	go server.Admin(t, func(c *pgx.Conn) {
		for ctx.Err() == nil {
			var ours, others int
			err := c.QueryRow(context.Background(), `
				select count(*) filter (where application_name ~ '^agency(/|$)' and application_name <> 'agency/health'),
				       count(*) filter (where application_name !~ '^agency(/|$)')
				from pg_stat_activity where datname = 'app'`).Scan(&ours, &others)
			if err == nil && others > 0 {
				err = fmt.Errorf("%d backends without our application name", others)
			}
			if err != nil {
				watched <- err
				return
			}
			most = max(most, ours)
		}
		watched <- nil
	})
	var wg sync.WaitGroup
	failed := make(chan string, 1000)
	for i := range 100 {
		wg.Go(func() {
			name := fmt.Sprintf("tenant-%d", i)
			for j := range 10 {
				path, body, want := "/agents", fmt.Sprintf(`{"id": "a%d", "name": "n%d", "model_family": "x"}`, j, j), 201
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
				if err == nil {
					r.Header.Set("X-Tenant-ID", name)
					r.Header.Set("Content-Type", "application/json")
					var resp *http.Response
					if resp, err = http.DefaultClient.Do(r); err == nil {
						resp.Body.Close()
						if resp.StatusCode != want {
							err = errors.New(resp.Status)
						}
					}
				}
				if err != nil {
					failed <- err.Error()
				}
			}
		})
	}
	wg.Wait()
	stop()
	require.NoError(t, <-watched)
	close(failed)
	for f := range failed {
		t.Error(f)
	}
	require.Positive(t, most)
	require.LessOrEqual(t, most, 5)
	t.Logf("%d backends at most, of 5", most)
}
