package testkit_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/tenant/rls"
	"github.com/agentagency/onepool/testkit"
)

var notes = fstest.MapFS{"00001_notes.sql": {Data: []byte(`-- +goose Up
create schema notes;
create table notes.notes (
	tenant_id text not null default nullif(current_setting('app.current_tenant', true), ''),
	body text not null
);
alter table notes.notes enable row level security;
alter table notes.notes force row level security;
create policy tenant_isolation on notes.notes
	using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''))
	with check (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));
-- +goose Down
drop schema notes cascade;
`)}}

func asTenant(t testing.TB, name string) context.Context {
	return tenant.NewContext(t.Context(), tenant.Identity{Tenant: name})
}

func TestDBIsIsolatedMigratedAndRestricted(t *testing.T) {
	t.Parallel()
	one := testkit.DB(t, testkit.Migrations("notes", notes))
	two := testkit.DB(t, testkit.Migrations("notes", notes))

	_, err := one.Exec(asTenant(t, "acme"), "insert into notes.notes (body) values ($1)", "hello")
	require.NoError(t, err)

	var super, bypass, owner bool
	require.NoError(t, one.QueryRow(t.Context(), `
		select rolsuper, rolbypassrls, exists (select from pg_class where relowner = r.oid)
		from pg_roles r where rolname = current_user`).Scan(&super, &bypass, &owner))
	require.False(t, super || bypass || owner, "the role proves nothing about row-level security")

	for _, c := range []struct {
		name string
		db   *fxdb.DB
		ctx  context.Context
		want int
	}{
		{"the tenant", one, asTenant(t, "acme"), 1},
		{"another tenant", one, asTenant(t, "globex"), 0},
		{"nobody", one, t.Context(), 0},
		{"the tenant in the other database", two, asTenant(t, "acme"), 0},
	} {
		var n int
		require.NoError(t, c.db.QueryRow(c.ctx, "select count(*) from notes.notes").Scan(&n), c.name)
		require.Equal(t, c.want, n, c.name)
	}
}

type noter struct{ db *fxdb.DB }

func TestSwapNeverRunsTheProductionConstructor(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere")
	t.Setenv("DB_POOL_MAX", "not a number") // would fail ConfigFromEnv

	var n *noter
	app := fxtest.New(t,
		fxdb.Module,
		fxdb.Migrations("notes", notes),
		fxdb.Client("notes", func(db *fxdb.DB) *noter { return &noter{db} }, fxdb.RequireTenant()),
		testkit.Swap(t),
		fx.Populate(&n),
	)
	app.RequireStart()
	defer app.RequireStop()

	_, err := n.db.Exec(t.Context(), "insert into notes.notes (body) values ('x')")
	require.ErrorIs(t, err, fxdb.ErrTenantRequired)
	_, err = n.db.Exec(asTenant(t, "acme"), "insert into notes.notes (body) values ('x')")
	require.NoError(t, err)
}

// seen counts statements.
type seen struct{ n atomic.Int64 }

func (s *seen) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n.Add(1)
	return ctx
}

func (s *seen) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestSwapKeepsTheGraphsLoggerTracersAndVerification(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.InfoLevel)
	var statements seen
	var db *fxdb.DB
	app := fxtest.New(t,
		fxdb.Module,
		fxdb.Migrations("notes", fstest.MapFS{"00001_open.sql": {Data: []byte("-- +goose Up\ncreate table open (tenant_id text);\n")}}),
		fxdb.VerifyOptions(rls.Allow("table-rls-off", "public.open", "the same for all tenants")),
		fx.Supply(zap.New(core)),
		fx.Provide(fx.Annotate(func() pgx.QueryTracer { return &statements }, fx.ResultTags(`group:"onepool.tracers"`))),
		testkit.Swap(t, testkit.Config(func(c *fxdb.Config) { c.VerifyTenancy = "require" })),
		fx.Populate(&db),
	)
	app.RequireStart()
	defer app.RequireStop()
	require.Equal(t, 1, logs.FilterMessage("tenant isolation verified").Len())
	before := statements.n.Load()
	require.NoError(t, db.Ping(t.Context()))
	_, err := db.Exec(t.Context(), "select 1")
	require.NoError(t, err)
	require.Greater(t, statements.n.Load(), before)
}

// TestInAProcessThatFails runs the test that runFailing names, and nothing else.
func TestInAProcessThatFails(t *testing.T) {
	if fail, ok := failing[os.Getenv("TESTKIT_FAILING")]; ok {
		fail(t)
	}
}

var failing = map[string]func(*testing.T){
	"leak": func(t *testing.T) {
		_, err := testkit.DB(t).Named("leaky").Acquire(t.Context())
		require.NoError(t, err)
	},
	"failure": func(t *testing.T) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		_, err := db.Exec(asTenant(t, "acme"), "insert into notes.notes (body) values ('evidence')")
		require.NoError(t, err)
		t.Fail()
	},
	"bad migration": func(t *testing.T) {
		testkit.DB(t, testkit.Migrations("bad", fstest.MapFS{"00001_bad.sql": {Data: []byte("-- +goose Up\nselect 1/0;\n")}}))
	},
	"no extension": func(t *testing.T) { testkit.DB(t, testkit.Extension("nowhere")) },
	"bad file name": func(t *testing.T) {
		testkit.DB(t, testkit.Migrations("bad", fstest.MapFS{"bad.sql": {Data: []byte("-- +goose Up\nselect 1;\n")}}))
	},
	"extension of the owner": func(t *testing.T) {
		testkit.DB(t, testkit.Migrations("bad", fstest.MapFS{"00001_bad.sql": {Data: []byte("-- +goose Up\nselect 1;\ncreate extension pageinspect;\n")}}))
	},
	"leaking goroutine": func(t *testing.T) {
		db := testkit.DB(t)
		go db.Exec(context.WithoutCancel(t.Context()), "select pg_sleep(60)") //nolint:errcheck // the drain cuts the statement
		awaitSleep(t, db.Pool())
	},
	"leaking goroutine of the raw pool": func(t *testing.T) {
		pool := testkit.Pool(t)
		go pool.Exec(context.WithoutCancel(t.Context()), "select pg_sleep(60)") //nolint:errcheck // the drain cuts the statement
		awaitSleep(t, pool)
	},
	"foreign pool": func(t *testing.T) {
		db := testkit.DB(t)
		other, err := fxdb.Open(t.Context(), fxdb.Config{URL: db.Pool().Config().ConnString()})
		require.NoError(t, err)
		defer other.Close(t.Context())
		testkit.OwnerPool(t, other)
	},
}

func awaitSleep(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	eventually(t, "the statement runs", func() (runs bool) {
		require.NoError(t, pool.QueryRow(t.Context(), "select exists (select from pg_stat_activity where datname = current_database() and query = 'select pg_sleep(60)')").Scan(&runs))
		return runs
	})
}

func runFailing(t *testing.T, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInAProcessThatFails$")
	cmd.Env = append(os.Environ(), "TESTKIT_FAILING="+name)
	out, err := cmd.CombinedOutput()
	require.Error(t, err, "%s: the test passed:\n%s", name, out)
	return string(out)
}

func TestAFailedTestKeepsItsDatabaseAndLogsItsURL(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	testkit.DB(t) // the shared server lives as long as this test, too
	out := runFailing(t, "failure")
	url := regexp.MustCompile(`database kept[^:]*: (\S+)`).FindStringSubmatch(out)
	require.Len(t, url, 2, out)
	conn, err := pgx.Connect(t.Context(), url[1])
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var body string
	require.NoError(t, conn.QueryRow(t.Context(), `
		select body from notes.notes, set_config('app.current_tenant', 'acme', false)`).Scan(&body))
	require.Equal(t, "evidence", body)
}

func TestWhatFailsATestSaysWhy(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for name, want := range map[string][]string{
		"leak":                              {"did not give back all connections", "leaky", "testkit_test.go"},
		"bad migration":                     {`migrations "bad"`, "00001_bad.sql", "line 2", "division by zero"},
		"bad file name":                     {"00001_name.sql"},
		"extension of the owner":            {"00001_bad.sql", "line 3", `testkit.Extension("pageinspect")`},
		"leaking goroutine":                 {"did not give back all connections", "testkit_test.go"},
		"leaking goroutine of the raw pool": {"did not give back all connections", "testkit_test.go"},
		"no extension":                      {`create extension "nowhere"`, "install it on the server"},
		"foreign pool":                      {"not of testkit"},
	} {
		out := runFailing(t, name)
		for _, part := range want {
			require.Contains(t, out, part, name)
		}
	}
}

func TestAPassedTestLeavesNoDatabase(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	watch := testkit.DB(t)
	var name string
	t.Run("passes", func(t *testing.T) {
		require.NoError(t, testkit.DB(t).QueryRow(t.Context(), "select current_database()").Scan(&name))
	})
	eventually(t, "the database is dropped", func() (exists bool) {
		require.NoError(t, watch.QueryRow(t.Context(), "select exists (select from pg_database where datname = $1)", name).Scan(&exists))
		return !exists
	})
}

func TestOwnerSeesTheSameDatabase(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMax = 3 }))
	require.Equal(t, 3, db.Stats().Max)
	_, err := testkit.OwnerPool(t, db.Named("other handle")).Exec(t.Context(), "create schema s; create table s.t (n int); insert into s.t values (1)")
	require.NoError(t, err)
	_, err = testkit.OwnerPool(t, db).Exec(t.Context(), "select 1")
	require.NoError(t, err)
	var n int
	require.NoError(t, db.QueryRow(t.Context(), "update s.t set n = 2 returning n").Scan(&n))
	require.Equal(t, 2, n)
	_, err = db.Exec(t.Context(), "drop table s.t")
	require.Error(t, err, "the pool's role is the owner")
}

func TestPool(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	require.NoError(t, testkit.Pool(t).Ping(t.Context()))
}

func TestTheAdministratorCreatesAnExtensionBeforeTheMigrations(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	// One of the server's own that an owner may not create.
	needs := testkit.Migrations("needs", fstest.MapFS{"00001_needs.sql": {Data: []byte("-- +goose Up\ncreate table marks as select * from pg_extension where extname = 'pageinspect';\n")}})
	count := func(db *fxdb.DB) (n int) {
		require.NoError(t, db.QueryRow(t.Context(), "select count(*) from marks").Scan(&n))
		return n
	}
	require.Equal(t, 1, count(testkit.DB(t, needs, testkit.Extension("pageinspect"))))
	require.Zero(t, count(testkit.DB(t, needs)), "the template of the same migrations with the extension")
}
