package testkit_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// complaints takes what a test would have failed with.
type complaints struct {
	testing.TB
	all []string
}

func (c *complaints) Errorf(format string, args ...any) {
	c.all = append(c.all, fmt.Sprintf(format, args...))
}

func TestRequireIsolationFindsWhatATableLetsOtherTenantsDo(t *testing.T) {
	t.Parallel()
	mine := "tenant_id = nullif((select current_setting('app.current_tenant', true)), '')"
	for name, c := range map[string]struct {
		policies string
		rows     string
		want     []string // a part of each complaint, in order
	}{
		"sound": {"create policy p on s.t using (" + mine + ")", "('acme', 1), ('acme', 2), ('globex', 1)", nil},
		"no policy is enforced": {"alter table s.t disable row level security", "('acme', 1), ('globex', 2)", []string{
			`: row-level security is off: "go tool onepool enable -goose s.t:tenant_id" writes the migration`, "a session without a tenant could change 2 rows", "a session without a tenant could delete 2 rows", "a session without a tenant could insert",
			"could read rows of 1 other tenants", "could change 1 rows", "could delete 1 rows", "could give 2 of its rows", "could insert",
			"could read rows of 1 other tenants", "could change 1 rows", "could delete 1 rows", "could give 2 of its rows", "could insert",
		}},
		"nobody sees all": {"create policy p on s.t using (" + mine + " or coalesce(current_setting('app.current_tenant', true), '') = '') with check (" + mine + ")",
			"('acme', 1), ('globex', 2)", []string{"a session without a tenant could read", "a session without a tenant could delete 2 rows"}},
		"no check of what is written": {"create policy p on s.t using (" + mine + ") with check (true)", "('acme', 1), ('globex', 2)",
			[]string{"a session without a tenant could insert", "could give 1 of its rows", "could insert", "could give 1 of its rows", "could insert"}},
		"a constraint instead of a check": {"create policy p on s.t using (" + mine + ") with check (true)", "('acme', 1), ('globex', 1)",
			[]string{"a session without a tenant could insert", "could give its rows", "could insert", "could give its rows", "could insert"}},
		"deletes are open": {"create policy p on s.t for select using (true); create policy d on s.t for delete using (true)", "('acme', 1), ('globex', 2)", []string{
			"a session without a tenant could read", "a session without a tenant could delete 2 rows", "could read rows of 1 other tenants", "could delete 1 rows", "could read rows of 1 other tenants", "could delete 1 rows",
		}},
		"own rows are hidden": {"create policy p on s.t using (" + mine + " and n > 1)", "('acme', 1), ('acme', 2), ('globex', 2)",
			[]string{"could read only 1 of its 2 rows"}},
		"one tenant only": {"create policy p on s.t using (" + mine + ")", "('acme', 1)", []string{"rows of 1 tenants"}},
		"rows of nobody":  {"create policy p on s.t using (" + mine + ")", "('acme', 1), ('globex', 1), (null, 1)", []string{"have no tenant"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testkit.DB(t, testkit.Migrations("s", fstest.MapFS{"00001_t.sql": {Data: []byte(
				"-- +goose Up\ncreate schema s; create table s.t (tenant_id text, n int, unique (tenant_id, n)); insert into s.t values " + c.rows +
					";\nalter table s.t enable row level security; alter table s.t force row level security;\n" + c.policies + ";\n")}}))
			got := &complaints{TB: t}
			require.Equal(t, []string{"s.t"}, testkit.RequireIsolation(got, db))
			require.Len(t, got.all, len(c.want), strings.Join(got.all, "\n"))
			for i, want := range c.want {
				require.Contains(t, got.all[i], want)
			}
			require.Zero(t, db.Stats().Active)
		})
	}
}

func TestRequireIsolationLetsSharedTablesBeRead(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Migrations("s", fstest.MapFS{"00001_t.sql": {Data: []byte(`-- +goose Up
create schema s;
create table s.t (tenant_id text);
insert into s.t values ('acme'), ('globex');
alter table s.t enable row level security; alter table s.t force row level security;
create policy r on s.t for select using (current_setting('app.current_tenant', true) <> '');
create policy w on s.t for update using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));
`)}}))
	got := &complaints{TB: t}
	testkit.RequireIsolation(got, db)
	require.Len(t, got.all, 2)
	testkit.RequireIsolation(t, db, testkit.SharedTables("s.t"))
	var n int
	ctx := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme"})
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "select count(*) from s.t where tenant_id = 'acme'").Scan(&n)
	}))
	require.Equal(t, 1, n, "what was tried was rolled back")
}

func TestRequireIsolationWantsSomethingToLookAt(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	got := &complaints{TB: t}
	require.Empty(t, testkit.RequireIsolation(got, testkit.DB(t)))
	require.Len(t, got.all, 1)
	require.Contains(t, got.all[0], "no table")
}
