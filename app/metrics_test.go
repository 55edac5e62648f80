package main

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/testkit"
)

func TestMetricsAreTheFiguresOfThePoolAndNameNoTenant(t *testing.T) {
	t.Parallel()
	var db *fxdb.DB
	s := newServer(t, testkit.Swap(t), fx.Populate(&db))
	status, _ := call(t, http.MethodGet, s.URL+"/agents/stats", "acme-secret", "")
	require.Equal(t, http.StatusOK, status)
	resp, text := ask(t, http.MethodGet, s.URL+"/metrics", "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, metricsMedia, resp.Header.Get("Content-Type"))

	series := regexp.MustCompile(`^(onepool_\w+)\{pool="shared"(,(client|status)="[^"\\]+")?\} \d+$`)
	described, seen := "", map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			described, _, _ = strings.Cut(name, " ")
			continue
		}
		if strings.HasPrefix(line, "# HELP ") {
			continue
		}
		found := series.FindStringSubmatch(line)
		require.NotNil(t, found, line)
		require.Equal(t, described, found[1])
		name, _, _ := strings.Cut(line, "} ")
		require.False(t, seen[name], "%s twice", name)
		seen[name] = true
	}
	require.Contains(t, text, fmt.Sprintf("onepool_connections_max{pool=\"shared\"} %d\n", db.Stats().Max))
	require.Regexp(t, `onepool_client_acquired_total\{pool="shared",client="agentregistry"\} [1-9]`, text)
	require.Contains(t, text, `onepool_status{pool="shared",status="healthy"} 1`)
	require.NotContains(t, text, "secret")
	require.NotContains(t, text, db.Monitor().Database())
}

func TestALabelIsEscaped(t *testing.T) {
	t.Parallel()
	require.Equal(t, `a\\b\"c\nd`, labelText.Replace("a\\b\"c\nd"))
}
