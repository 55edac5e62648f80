package main

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func TestMetricsAreTheFiguresOfThePoolAndNameNoTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var db *fxdb.DB
	s := newServer(t, testkit.Swap(t), fx.Populate(&db))
	status, _ := call(t, http.MethodGet, s.URL+"/agents/stats", "acme-secret", "")
	require.Equal(t, http.StatusOK, status)
	resp, text := ask(t, http.MethodGet, s.URL+"/metrics", "")
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, metricsMedia, resp.Header.Get("Content-Type"))

	series := regexp.MustCompile(`^(onepool_\w+)\{pool="shared"(,(client|status|result|reason|sqlstate|le)="[^"\\]+")*\} [0-9.e+-]+$`)
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
		require.Contains(t, []string{described, described + "_bucket", described + "_sum", described + "_count"}, found[1])
		name, _, _ := strings.Cut(line, "} ")
		require.False(t, seen[name], "%s twice", name)
		seen[name] = true
	}
	require.Contains(t, text, fmt.Sprintf("onepool_connections_max{pool=\"shared\"} %d\n", db.Stats().Max))
	require.Regexp(t, `onepool_acquires_total\{pool="shared",client="agentregistry",result="ok"\} [1-9]`, text)
	require.Contains(t, text, `onepool_reachable{pool="shared"} 1`)
	require.Contains(t, text, `onepool_draining{pool="shared"} 0`)
	require.Contains(t, text, `onepool_acquires_total{pool="shared",client="orchestrator",result="timeout"} 0`, "a counter's first step shows only after a 0")
	require.Contains(t, text, `onepool_status{pool="shared",status="healthy"} 1`)
	require.NotContains(t, text, "secret")
	require.NotContains(t, text, db.Monitor().Database())
}

// labelsByName returns the labels of each figure on a page, without pool and le.
func labelsByName(page string) map[string]string {
	labels := make(map[string]string)
	for _, found := range regexp.MustCompile(`(?m)^(onepool_\w+?)(_bucket|_sum|_count)?\{([^}]*)\}`).FindAllStringSubmatch(page, -1) {
		var names []string
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(found[3], -1) {
			if label[1] != "pool" && label[1] != "le" {
				names = append(names, label[1])
			}
		}
		labels[found[1]] = strings.Join(names, ",")
	}
	return labels
}

// A test of fxdbprom compares the list in doc.go with the metrics that fxdbprom registers.
func TestMetricsHaveTheNamesAndLabelsOfFxdbpromSoThatRulesAndDashboardFit(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var db *fxdb.DB
	s := newServer(t, testkit.Swap(t), fx.Populate(&db))
	_, err := db.Named("failing").Exec(tenant.System(t.Context(), "a statement that fails"), "select 1/0")
	require.Error(t, err)
	_, page := ask(t, http.MethodGet, s.URL+"/metrics", "")
	served := labelsByName(page)

	doc, err := os.ReadFile("../fxdb/fxdbprom/doc.go")
	require.NoError(t, err)
	documented, kinds := make(map[string]string), make(map[string]string)
	for _, found := range regexp.MustCompile(`(?m)^//\t(onepool_\w+)(?:\{([\w,]*)\})? +(gauge|counter|histogram) `).FindAllStringSubmatch(string(doc), -1) {
		if !strings.HasPrefix(found[1], "onepool_tenant_") { // the page names no tenant
			documented[found[1]], kinds[found[1]] = found[2], found[3]
		}
	}
	require.Equal(t, documented, served)
	for name, kind := range kinds {
		require.Contains(t, page, "# TYPE "+name+" "+kind+"\n")
	}
	for _, file := range []string{"rules.yml", "dashboard.json"} {
		text, err := os.ReadFile("../fxdb/fxdbprom/" + file)
		require.NoError(t, err)
		for _, name := range regexp.MustCompile(`onepool_\w+`).FindAllString(string(text), -1) {
			if !strings.HasPrefix(name, "onepool_tenant_") {
				require.Contains(t, served, strings.TrimSuffix(name, "_bucket"), file)
			}
		}
	}
}

func TestAHistogramCountsUpToItsBoundsAndTheRest(t *testing.T) {
	t.Parallel()
	h := newHistogram()
	for _, d := range []time.Duration{0, 100 * time.Microsecond, 101 * time.Microsecond, time.Second, time.Hour} {
		h.observe(d)
	}
	page := &metricPage{pool: "p", by: make(map[string]*metricFamily)}
	page.histogram("wait_seconds", "Wait.", h, "client", "c")
	var text strings.Builder
	page.writeTo(&text)
	for _, line := range []string{`bucket{pool="p",client="c",le="0.0001"} 2`, `bucket{pool="p",client="c",le="0.00025"} 3`, `bucket{pool="p",client="c",le="1"} 4`,
		`bucket{pool="p",client="c",le="300"} 4`, `bucket{pool="p",client="c",le="+Inf"} 5`, `sum{pool="p",client="c"} 3601.000201`, `count{pool="p",client="c"} 5`} {
		require.Contains(t, text.String(), "onepool_wait_seconds_"+line+"\n")
	}
}

func TestALabelIsEscaped(t *testing.T) {
	t.Parallel()
	require.Equal(t, `a\\b\"c\nd`, labelText.Replace("a\\b\"c\nd"))
}
