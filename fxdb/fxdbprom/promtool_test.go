package fxdbprom_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/fxdbprom"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// program returns the path of a program of Prometheus'. In CI the program must exist.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("there is no %s: install Debian's package prometheus", name)
	}
	require.NoError(t, err)
	return path
}

func promtool(t testing.TB, stdin []byte, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, "promtool"), args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "promtool %v:\n%s", args, out)
	t.Logf("promtool %v:\n%s", args, out)
}

func TestPromtoolAcceptsTheMetrics(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t)
	reg := prometheus.NewPedanticRegistry()
	defer register(t, reg, db)()
	unregister, err := fxdbprom.RegisterTenants(reg, db)
	require.NoError(t, err)
	defer unregister()
	_, err = db.Exec(tenant.NewContext(inTime(t), tenant.Identity{Tenant: "acme"}), "select 1/0")
	require.Error(t, err)
	families, err := reg.Gather()
	require.NoError(t, err)
	var text bytes.Buffer
	for _, f := range families {
		_, err := expfmt.MetricFamilyToText(&text, f)
		require.NoError(t, err)
	}
	promtool(t, text.Bytes(), "check", "metrics")
}

func TestTheRulesFireWhereTheyShould(t *testing.T) {
	t.Parallel()
	promtool(t, nil, "check", "rules", "rules.yml")
	promtool(t, nil, "test", "rules", "rules_test.yml")
}
