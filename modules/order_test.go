package modules_test

import (
	"context"
	"io/fs"
	"slices"
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
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// module is a client as an application has it.
type module struct {
	name       string
	option     fx.Option
	migrations fs.FS
	check      any // an fx.Invoke function that leaves a check of the client in checks
}

// checks are what the clients of one application say of their schemas.
type checks map[string]func(context.Context) error

var all = []module{
	{"agentregistry", agentregistry.Module, agentregistry.Migrations(), func(c *agentregistry.Client, all checks) { all["agentregistry"] = c.CheckSchema }},
	{"knowledge", knowledge.Module, knowledge.Migrations(), func(c *knowledge.Client, all checks) { all["knowledge"] = c.CheckSchema }},
	{"orchestrator", orchestrator.Module, orchestrator.Migrations(), func(c *orchestrator.Client, all checks) { all["orchestrator"] = c.CheckSchema }},
	{"verification", verification.Module, verification.Migrations(), func(c *verification.Client, all checks) { all["verification"] = c.CheckSchema }},
	{"webnavigator", webnavigator.Module, webnavigator.Migrations(), func(c *webnavigator.Client, all checks) { all["webnavigator"] = c.CheckSchema }},
}

// start starts an application with the modules in their order, has each client
// asked, and stops it.
func start(t *testing.T, modules []module, database fx.Option) {
	t.Helper()
	asked := checks{}
	options := []fx.Option{fx.Supply(asked)}
	for _, m := range modules {
		options = append(options, m.option, fx.Invoke(m.check))
	}
	app := fxtest.New(t, append(options, fx.NopLogger, fxdb.Module, database)...)
	app.RequireStart()
	defer app.RequireStop()
	require.Len(t, asked, len(modules))
	ctx := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme"})
	for name, check := range asked {
		require.NoError(t, check(ctx), name)
	}
}

// orders returns all orders of the modules.
func orders(modules []module) [][]module {
	if len(modules) == 0 {
		return [][]module{nil}
	}
	var out [][]module
	for i, first := range modules {
		for _, rest := range orders(slices.Delete(slices.Clone(modules), i, i+1)) {
			out = append(out, append([]module{first}, rest...))
		}
	}
	return out
}

func TestModulesStartInAnyOrder(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestModulesMigrateInAnyOrder")
	var migrations []testkit.Option
	for _, m := range all {
		migrations = append(migrations, testkit.Migrations(m.name, m.migrations))
	}
	cfg := fxdb.Config{URL: testkit.DB(t, migrations...).Pool().Config().ConnString(), PoolMin: 1, PoolMax: 2}
	every := orders(all)
	require.Len(t, every, 120)
	// A sample in which each comes first, last and next to each other one.
	for i := 0; i < len(every); i += 5 {
		start(t, every[i], fx.Replace(cfg))
	}
}

func TestModulesMigrateInAnyOrder(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	backwards := slices.Clone(all)
	slices.Reverse(backwards)
	for _, modules := range [][]module{all, backwards} {
		start(t, modules, testkit.Swap(t))
	}
}

func TestEachModuleStartsAlone(t *testing.T) {
	t.Parallel()
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			start(t, []module{m}, testkit.Swap(t))
		})
	}
}
