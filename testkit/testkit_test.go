package testkit_test

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
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
