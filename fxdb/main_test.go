package fxdb_test

import (
	"context"
	"net/url"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// The test kit's server connection lives as long as the process.
func TestMain(m *testing.M) {
	size.Parallel(8)
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/testkit.init.OnceValues[...].func1"),
		goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/fxdb/devdb.(*supervisor).watch"))
}

// notes is a table with row-level security and one without.
var notes = fstest.MapFS{"00001_notes.sql": {Data: []byte(`-- +goose Up
create schema notes;
create table notes.notes (
	tenant_id text not null default nullif(current_setting('app.current_tenant', true), ''),
	id bigint generated always as identity,
	body text not null,
	primary key (tenant_id, id)
);
alter table notes.notes enable row level security;
alter table notes.notes force row level security;
create policy tenant_isolation on notes.notes
	using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''))
	with check (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));
create table notes.plain (id int primary key, body text, unique (body) deferrable initially deferred);
-- +goose Down
drop schema notes cascade;
`)}}

func notesDB(t testing.TB, opts ...testkit.Option) *fxdb.DB {
	t.Helper()
	return testkit.DB(t, append(opts, testkit.Migrations("notes", notes))...)
}

// another opens a pool of one connection on own's database, with params appended to the
// connection string.
func another(t testing.TB, own *fxdb.DB, params string) *fxdb.DB {
	t.Helper()
	db, err := fxdb.Open(within(t), fxdb.Config{URL: own.Pool().Config().ConnString() + params, PoolMin: 1, PoolMax: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	return db
}

func as(t testing.TB, name string) context.Context {
	return tenant.NewContext(within(t), tenant.Identity{Tenant: name})
}

// urlOf is the connection string of a database of this test's own.
func urlOf(t testing.TB) string {
	t.Helper()
	return notesDB(t).Pool().Config().ConnString()
}

// asSuperuser is the connection string of the same database for a login that no policy
// holds: the server's first.
func asSuperuser(t testing.TB, db *fxdb.DB) *url.URL {
	t.Helper()
	var name string
	require.NoError(t, db.QueryRow(t.Context(), "select rolname from pg_roles where oid = 10").Scan(&name))
	u, err := url.Parse(db.Pool().Config().ConnString())
	require.NoError(t, err)
	if pw, ok := u.User.Password(); ok {
		u.User = url.UserPassword(name, pw)
	} else {
		u.User = url.User(name)
	}
	q := u.Query()
	q.Del("user")
	u.RawQuery = q.Encode()
	return u
}

// startApp runs an fx application on the configuration.
func startApp(t testing.TB, cfg fxdb.Config, opts ...fx.Option) *fxdb.DB {
	t.Helper()
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, fx.Replace(cfg), fx.Populate(&db), fx.Options(opts...))
	app.RequireStart()
	t.Cleanup(app.RequireStop)
	return db
}

// backends counts an application's connections to a database of this test's own.
func backends(t testing.TB, db *fxdb.DB, application string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(within(t),
		"select count(*) from pg_stat_activity where datname = current_database() and application_name = $1", application).Scan(&n))
	return n
}

// requireNoBackends waits until the server has none of them left.
func requireNoBackends(t testing.TB, db *fxdb.DB, application string) {
	t.Helper()
	require.Eventually(t, func() bool { return backends(t, db, application) == 0 }, patience, 2*time.Millisecond)
}

const tenantSetting = "select coalesce(current_setting('app.current_tenant', true), '')"

func settingOf(t testing.TB, db *fxdb.DB, ctx context.Context, name string) string {
	t.Helper()
	var v string
	require.NoError(t, db.QueryRow(ctx, "select coalesce(current_setting($1, true), '')", name).Scan(&v))
	return v
}
