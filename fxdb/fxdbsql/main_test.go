package fxdbsql_test

import (
	"context"
	"database/sql"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// The test kit's server connection lives as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/testkit.init.OnceValues[...].func1"),
		goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"),
		goleak.IgnoreAnyFunction("github.com/agentagency/onepool/fxdb/devdb.(*supervisor).watch"))
}

// notes is a table with row-level security, and one whose check comes with the
// commit.
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
create table notes.late (id int, unique (id) deferrable initially deferred);
-- +goose Down
drop schema notes cascade;
`)}}

// open gives a pool on a database of this test's own, and database/sql's view of it.
func open(t testing.TB, opts ...testkit.Option) (*fxdb.DB, *sql.DB) {
	t.Helper()
	db := testkit.DB(t, append(opts, testkit.Migrations("notes", notes))...)
	return db, over(t, db)
}

func over(t testing.TB, db *fxdb.DB) *sql.DB {
	t.Helper()
	own := fxdbsql.Open(db)
	t.Cleanup(func() { require.NoError(t, own.Close()) })
	return own
}

func as(t testing.TB, name string) context.Context {
	return tenant.NewContext(t.Context(), tenant.Identity{Tenant: name, User: name + "-user"})
}

const tenantSetting = "select coalesce(current_setting('app.current_tenant', true), '')"

// queryer is what *sql.DB, *sql.Tx and *sql.Conn have in common.
type queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func tenantOf(t testing.TB, q queryer, ctx context.Context) string {
	t.Helper()
	var name string
	require.NoError(t, q.QueryRowContext(ctx, tenantSetting).Scan(&name))
	return name
}
