package fxdbprom_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbprom"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// labelsOf returns the labels of each possible series of a pool, by the series' name in a query.
func labelsOf(t *testing.T) map[string][]string {
	t.Helper()
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin = 1 }))
	reg := prometheus.NewRegistry()
	register(t, reg, db)
	_, err := fxdbprom.RegisterTenants(reg, db)
	require.NoError(t, err)
	ctx := tenant.NewContext(inTime(t), tenant.Identity{Tenant: "acme"})
	_, err = db.Exec(ctx, "select 1/0")
	require.Error(t, err)
	db.Pool().Reset()
	require.NoError(t, db.Ping(ctx)) // opens a connection
	families, err := reg.Gather()
	require.NoError(t, err)
	labels := make(map[string][]string)
	for _, f := range families {
		names := []string{}
		for _, l := range f.GetMetric()[0].GetLabel() {
			names = append(names, l.GetName())
		}
		if f.GetType() == dto.MetricType_HISTOGRAM {
			labels[f.GetName()+"_bucket"] = append(names, "le")
			continue
		}
		labels[f.GetName()] = names
	}
	return labels
}

var (
	metricName = regexp.MustCompile(`onepool_\w+`)
	grouping   = regexp.MustCompile(`(?:by|without) \(([^)]*)\)`)
	matcher    = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
	legend     = regexp.MustCompile(`{{(\w+)}}`)
)

// requireKnown requires that the metrics of a query exist, and have the labels of the query and
// the legend.
func requireKnown(t *testing.T, labels map[string][]string, query, legends string) {
	t.Helper()
	names := metricName.FindAllString(query, -1)
	require.NotEmpty(t, names, query)
	var wanted []string
	for _, found := range grouping.FindAllStringSubmatch(query, -1) {
		wanted = append(wanted, strings.Split(found[1], ", ")...)
	}
	for _, re := range []*regexp.Regexp{matcher, legend} {
		for _, found := range re.FindAllStringSubmatch(query+legends, -1) {
			wanted = append(wanted, found[1])
		}
	}
	known := make(map[string]bool)
	for _, name := range names {
		require.Contains(t, labels, name, query)
		for _, l := range labels[name] {
			known[l] = true
		}
	}
	for _, l := range wanted {
		require.True(t, known[l], "%s has no label %q: %s", names[0], l, query)
	}
}

func TestTheDashboardShowsMetricsThatExist(t *testing.T) {
	t.Parallel()
	labels := labelsOf(t)
	text, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	type panel struct {
		ID      int
		Type    string
		Title   string
		GridPos struct{ H, W, X, Y int }
		Targets []struct{ Expr, LegendFormat string }
	}
	var dashboard struct {
		Title, UID string
		Panels     []panel
		Templating struct {
			List []struct{ Name, Definition string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	ids, queries := make(map[int]string), 0
	shown := make(map[string]bool)
	for _, p := range dashboard.Panels {
		require.Empty(t, ids[p.ID], "panels %q and %q have one id", ids[p.ID], p.Title)
		ids[p.ID] = p.Title
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		require.True(t, p.Type == "row" || len(p.Targets) > 0, p.Title)
		for _, target := range p.Targets {
			queries++
			requireKnown(t, labels, target.Expr, target.LegendFormat)
			for _, name := range metricName.FindAllString(target.Expr, -1) {
				shown[name] = true
			}
		}
	}
	require.Greater(t, queries, 20)
	for _, v := range dashboard.Templating.List {
		if v.Definition != "" {
			requireKnown(t, labels, v.Definition, "")
		}
	}
	for name := range labels {
		if !shown[name] && !strings.HasSuffix(name, "_would_wait_total") && !strings.HasSuffix(name, "_system_uses_total") &&
			name != "onepool_tenant_acquires_total" {
			t.Errorf("the dashboard does not show %s", name)
		}
	}
}

// TestThePackagesDocumentationNamesEveryMetric compares doc.go with the registered metrics.
func TestThePackagesDocumentationNamesEveryMetric(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	documented := make(map[string]bool)
	for _, name := range metricName.FindAllString(string(text), -1) {
		documented[name] = true
	}
	registered := make(map[string]bool)
	for name := range labelsOf(t) {
		registered[strings.TrimSuffix(name, "_bucket")] = true
	}
	require.Equal(t, registered, documented)
	rules, err := os.ReadFile("rules.yml")
	require.NoError(t, err)
	for _, name := range metricName.FindAllString(string(rules), -1) {
		require.True(t, registered[strings.TrimSuffix(name, "_bucket")], name)
	}
}
