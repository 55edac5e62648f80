package fxdb_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant/rls"
	"github.com/agentagency/onepool/testkit"
)

// verifiable is a database of this test's own, with the statements run by its
// owner.
func verifiable(t testing.TB, ddl string) *fxdb.DB {
	t.Helper()
	db := notesDB(t)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), ddl)
	require.NoError(t, err)
	return db
}

// open is a table that any tenant may read.
const open = "create table notes.open (tenant_id text primary key)"

// start opens a pool and closes it with the test. It returns what was logged.
func start(t testing.TB, cfg fxdb.Config, opts ...fxdb.Option) (*observer.ObservedLogs, error) {
	t.Helper()
	core, logs := observer.New(zapcore.InfoLevel)
	db, err := fxdb.Open(t.Context(), cfg, append(opts, fxdb.WithLogger(zap.New(core)))...)
	if err == nil {
		t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	}
	return logs, err
}

// findings are the warnings' codes and objects.
func findings(logs *observer.ObservedLogs) []string {
	var out []string
	for _, e := range logs.FilterMessage("tenant isolation").All() {
		if e.Level == zapcore.WarnLevel {
			out = append(out, fmt.Sprintf("%v %v", e.ContextMap()["code"], e.ContextMap()["object"]))
		}
	}
	return out
}

func TestVerifyTenancyRequireStartsOnASoundDatabase(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	logs, err := start(t, fxdb.Config{URL: urlOf(t), VerifyTenancy: "require"})
	require.NoError(t, err)
	require.Empty(t, findings(logs))
	verified := logs.FilterMessage("tenant isolation verified").All()
	require.Len(t, verified, 1)
	require.EqualValues(t, 1, verified[0].ContextMap()["tables"])
	require.Equal(t, devdb.RoleApp, verified[0].ContextMap()["role"])
}

func TestVerifyTenancyRequireFailsTheStartOnAHole(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := verifiable(t, open+"; grant truncate on notes.notes to "+devdb.RoleApp)
	logs, err := start(t, fxdb.Config{URL: db.Pool().Config().ConnString(), VerifyTenancy: "require", ApplicationName: "holes"})
	var unsound *fxdb.TenancyError
	require.ErrorAs(t, err, &unsound)
	require.ErrorIs(t, err, rls.ErrUnsound)
	require.ErrorContains(t, err, "DB_VERIFY_TENANCY=require")
	require.ErrorContains(t, err, "table-rls-off notes.open")
	require.ErrorContains(t, err, "privilege-truncate notes.notes")
	require.Equal(t, 2, unsound.Report.Count(rls.LevelError))
	require.ElementsMatch(t, []string{"table-rls-off notes.open", "privilege-truncate notes.notes"}, findings(logs), "the log says how to mend it")

	requireNoBackends(t, db, "holes")
}

func TestVerifyTenancyWarnLogsEachFindingAndStarts(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	logs, err := start(t, fxdb.Config{URL: verifiable(t, open).Pool().Config().ConnString(), VerifyTenancy: "warn"})
	require.NoError(t, err)
	require.Equal(t, []string{"table-rls-off notes.open"}, findings(logs))
	fields := logs.FilterMessage("tenant isolation").All()[0].ContextMap()
	require.Equal(t, "error", fields["finding_level"])
	require.Contains(t, fields["consequence"], "visible")
	require.Contains(t, fields["fix"], `alter table "notes"."open" enable row level security`)
}

// A database that nobody named is one of a developer, who has just written a table.
func TestVerifyTenancyWarnsOnAThrowawayServer(t *testing.T) {
	size.SkipUnlessSoak(t, "testkit's TestSwapReportsATableWithoutAPolicyOnce")
	type made struct{}
	forgotten := fxdb.Migrations("notes", migration("create table forgotten (tenant_id text primary key);\n"))
	plain := fxdb.Migrations("notes", migration("create table plain (id int);\n"))
	requires := fxdb.Client("notes", func(*fxdb.DB) made { return made{} }, fxdb.RequireTenant())
	for name, c := range map[string]struct {
		setting string
		opts    fx.Option
		want    []string
	}{
		"a table without a policy":                         {"", forgotten, []string{"table-rls-off public.forgotten"}},
		"nobody asked for tenants":                         {"", plain, nil},
		"a client asks for tenants, and no table has them": {"", fx.Options(plain, requires, fx.Invoke(func(made) {})), []string{"tables-none app"}},
		"off": {"off", forgotten, nil},
		"off, by a decorator": {"", fx.Options(forgotten, fx.Decorate(func(c fxdb.Config) fxdb.Config {
			c.VerifyTenancy = "off"
			return c
		})), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DB_VERIFY_TENANCY", c.setting)
			core, logs := observer.New(zapcore.InfoLevel)
			app := fx.New(fx.NopLogger, fxdb.Module, devdb.Module, fx.Supply(zap.New(core)), c.opts)
			require.NoError(t, app.Start(t.Context()))
			require.NoError(t, app.Stop(t.Context()))
			require.Equal(t, c.want, findings(logs))
		})
	}
}

func TestVerifyTenancyIsOffUnlessAskedFor(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	logs, err := start(t, fxdb.Config{URL: verifiable(t, open).Pool().Config().ConnString()})
	require.NoError(t, err)
	require.Zero(t, logs.FilterMessage("tenant isolation verified").Len())
	require.Empty(t, findings(logs))
}

func TestVerifyTenancyTakesAllowances(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	cfg := fxdb.Config{URL: verifiable(t, open).Pool().Config().ConnString(), VerifyTenancy: "require"}
	allow := rls.Allow("table-rls-off", "notes.open", "the same for all tenants")

	logs, err := start(t, cfg, fxdb.WithVerifyOptions(allow))
	require.NoError(t, err)
	require.Empty(t, findings(logs))
	require.Equal(t, "the same for all tenants", logs.FilterMessage("tenant isolation").All()[0].ContextMap()["allowed"])

	startApp(t, cfg, fxdb.VerifyOptions(allow), fxdb.VerifyOptions(rls.Column("tenant_id")))

	app := fx.New(fxdb.Module, fx.Replace(cfg), fx.NopLogger)
	err = app.Start(t.Context())
	var unsound *fxdb.TenancyError
	require.ErrorAs(t, err, &unsound, "without the allowance")
}

func TestVerifyTenancySeesWhatTheStartHasMigratedInTheTenantsRole(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	empty := testkit.DB(t)
	superuser := asSuperuser(t, empty)
	login := superuser.User.Username()
	cfg := fxdb.Config{
		URL: superuser.String(), Migrate: true, MigrateURL: testkit.OwnerPool(t, empty).Config().ConnString(), VerifyTenancy: "require",
	}
	_, err := start(t, cfg, fxdb.WithMigrations("notes", notes))
	require.ErrorContains(t, err, "role-superuser "+login)

	cfg.TenantRole = devdb.RoleApp
	logs, err := start(t, cfg, fxdb.WithMigrations("notes", notes))
	require.NoError(t, err)
	require.Equal(t, []string{"login-bypasses " + login}, findings(logs))
	verified := logs.FilterMessage("tenant isolation verified").All()[0].ContextMap()
	require.Equal(t, devdb.RoleApp, verified["role"])
	require.EqualValues(t, 1, verified["tables"])
}

func TestAVerificationThatFailsIsAWarningOrFailsTheStart(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	cfg := fxdb.Config{URL: urlOf(t), TenantRole: "nobody_at_all", VerifyTenancy: "warn"}
	logs, err := start(t, cfg)
	require.NoError(t, err)
	warnings := logs.FilterMessage("tenant isolation could not be verified").All()
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0].ContextMap()["error"], "nobody_at_all")

	cfg.VerifyTenancy = "require"
	_, err = start(t, cfg)
	require.ErrorContains(t, err, "DB_VERIFY_TENANCY=require")
	require.ErrorContains(t, err, "nobody_at_all")
	var unsound *fxdb.TenancyError
	require.NotErrorAs(t, err, &unsound, "nothing was found")
}

func TestTheVerificationAsksForThePassword(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	var asked atomic.Int64
	source := func(context.Context) (string, error) {
		if asked.Add(1) == 2 { // after the check of the server, before the pool's own
			return "", errors.New("no password this time")
		}
		return "", nil
	}
	logs, err := start(t, fxdb.Config{URL: urlOf(t), PoolMax: 2, VerifyTenancy: "warn"}, fxdb.WithPasswordSource(source))
	require.NoError(t, err)
	warnings := logs.FilterMessage("tenant isolation could not be verified").All()
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0].ContextMap()["error"], "no password this time")
}

func TestAWarningLeavesTimeToStart(t *testing.T) {
	size.SkipUnlessSoak(t, "TestVerifyTenancyWarnLogsEachFindingAndStarts")
	t.Parallel()
	db := notesDB(t)
	tx, err := testkit.OwnerPool(t, db).Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.Background())
	_, err = tx.Exec(t.Context(), "lock table notes.notes") // nobody can look into it
	require.NoError(t, err)

	core, logs := observer.New(zapcore.WarnLevel)
	cfg := fxdb.Config{URL: db.Pool().Config().ConnString(), VerifyTenancy: "warn"}
	app := fx.New(fxdb.Module, fx.Replace(cfg), fx.Supply(zap.New(core)), fx.NopLogger)
	// The look takes two fifths of this time, and leaves two fifths to the start.
	ctx, cancel := context.WithTimeout(t.Context(), size.Of(8*time.Second, 8*time.Second, 30*time.Second))
	defer cancel()
	require.NoError(t, app.Start(ctx))
	require.NoError(t, app.Stop(t.Context()))
	require.Equal(t, 1, logs.FilterMessage("tenant isolation could not be verified").Len())
}
