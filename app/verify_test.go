package main

import (
	"bytes"
	"errors"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant/rls"
	"github.com/agentagency/onepool/testkit"
)

// runApp runs the application to its end.
func runApp(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := command(env, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func TestVerifyOnAThrowawayServer(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "fxdb/cmd/onepool's TestVerify")
	code, out, errs := runApp(t, []string{"DB_VERIFY_TENANCY=require"}, "verify")
	require.Zero(t, code, "%s\n%s", out, errs)
	require.Contains(t, out, "role onepool_app, database app")
	require.Contains(t, out, "sound: 0 errors, 0 warnings, 0 notes, 0 allowed\n")
	require.NotContains(t, out, " 0 tables")
}

func TestVerifyEndsWithOneOnAHole(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "fxdb/cmd/onepool's TestVerify")
	db := testkit.DB(t, testkit.Migrations("agentregistry", agentregistry.Migrations()))
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "alter table registry.agents disable row level security")
	require.NoError(t, err)
	env := []string{"DATABASE_URL=" + db.Pool().Config().ConnString()}
	for _, mode := range []string{"off", "require"} {
		code, out, errs := runApp(t, append(env, "DB_VERIFY_TENANCY="+mode), "verify")
		require.Equal(t, 1, code, "%s\n%s", out, errs)
		require.Contains(t, out, "policies-off  registry.agents  (fail-open)", mode)
		require.Contains(t, out, "not sound: 1 error")
	}
	// To serve it refuses, too.
	code, _, errs := runApp(t, append(env, "DB_VERIFY_TENANCY=require"))
	require.Equal(t, 1, code, errs)
	require.Contains(t, errs, "DB_VERIFY_TENANCY=require")
	require.Contains(t, errs, "policies-off registry.agents")
}

func TestUnknownArgumentsEndWithTwo(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for _, args := range [][]string{{"verfiy"}, {"verify", "all"}, {"demo", "verify"}} {
		code, out, errs := runApp(t, nil, args...)
		require.Equal(t, 2, code)
		require.Empty(t, out)
		require.Contains(t, errs, "unknown arguments")
	}
}

func TestHelpStartsNothing(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for _, args := range [][]string{{"-h"}, {"-help"}, {"--help"}, {"help"}, {"verify", "--help"}, {"demo", "-h"}, {"help", "verify"}} {
		code, out, errs := runApp(t, []string{"DB_POOL_MAX=bad: nobody reads it"}, args...)
		require.Zero(t, code, args)
		require.Contains(t, out, "usage:", args)
		for _, setting := range []string{"ADDR", "DATABASE_URL", "OPERATOR_TOKEN", "verify", "demo"} {
			require.Contains(t, out, setting)
		}
		require.Empty(t, errs, args)
	}
}

// What the clients of the agency create keeps tenants apart, with nothing to
// object to and nothing allowed.
func TestEveryModulesSchemaVerifiesClean(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		module fx.Option
		tables []string // some that must have been looked at
	}{
		"the application": {agency, []string{"registry.agents", "knowledge.entries", "web.cache", "verification.requests", "orchestrator.tasks"}},
		"agentregistry":   {fx.Options(fxdb.Module, agentregistry.Module), []string{"registry.agents", "registry.agent_load"}},
		"knowledge":       {fx.Options(fxdb.Module, knowledge.Module), []string{"knowledge.queries", "knowledge.entries"}},
		"webnavigator":    {fx.Options(fxdb.Module, webnavigator.Module), []string{"web.contents", "web.traversal_nodes"}},
		"verification":    {fx.Options(fxdb.Module, verification.Module), []string{"verification.requests", "verification.cache"}},
		"orchestrator":    {fx.Options(fxdb.Module, orchestrator.Module), []string{"orchestrator.tasks", "orchestrator.executions"}},
	} {
		if size.Of(name != "the application", false, false) {
			continue // the application has the schemas of all modules
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var db *fxdb.DB
			strict := testkit.Config(func(cfg *fxdb.Config) { cfg.VerifyTenancy = "require" })
			app := fxtest.New(t, c.module, testkit.Swap(t, strict), fx.Populate(&db))
			app.RequireStart()
			defer app.RequireStop()
			report, err := rls.Verify(t.Context(), db)
			require.NoError(t, err)
			require.Empty(t, report.Findings, report.String())
			require.Subset(t, report.Tables, c.tables)
		})
	}
}
