package testkit_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// Each table has one hole, and no statement that reads would find it.
func TestRequireIsolationFindsTheOnlyHole(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	mine := "tenant_id = nullif((select current_setting('app.current_tenant', true)), '')"
	nobody := "coalesce(current_setting('app.current_tenant', true), '') = ''"
	// policies are sound ones for all commands but the one left out.
	policies := func(but, with string) string {
		all := []string{with}
		for command, policy := range map[string]string{
			"select": "using (" + mine + ")", "delete": "using (" + mine + ")",
			"insert": "with check (" + mine + ")", "update": "using (" + mine + ") with check (" + mine + ")",
		} {
			if command != but {
				all = append(all, "create policy "+command+"_mine on s.t for "+command+" "+policy+";")
			}
		}
		return strings.Join(all, "\n")
	}
	for name, c := range map[string]struct {
		sql  string
		want []string // a part of each complaint, in order
	}{
		"sound": {policies("", ""), nil},
		"anybody inserts in any name": {policies("insert", "create policy x on s.t for insert with check (true);"), []string{
			"a session without a tenant could insert a row in the name", `tenant "acme" could insert a row in the name`, `tenant "globex" could insert a row in the name`}},
		"tenants insert in any name": {policies("insert", "create policy x on s.t for insert with check (not ("+nobody+"));"), []string{
			`tenant "acme" could insert a row in the name`, `tenant "globex" could insert a row in the name`}},
		"tenants insert in any name, without a constraint": {"alter table s.t drop constraint t_pkey;" +
			policies("insert", "create policy x on s.t for insert with check (not ("+nobody+"));"), []string{
			`tenant "acme" could insert a row in the name`, `tenant "globex" could insert a row in the name`}},
		"tenants insert some columns in any name": {"revoke insert on s.t from onepool_app; grant insert (tenant_id, n) on s.t to onepool_app;" +
			policies("insert", "create policy x on s.t for insert with check (not ("+nobody+"));"), []string{
			`tenant "acme" could insert a row in the name`, `tenant "globex" could insert a row in the name`}},
		"tenants delete all": {policies("delete", "create policy x on s.t for delete using (not ("+nobody+"));"), []string{
			`tenant "acme" could delete 1 rows`, `tenant "globex" could delete 2 rows`}},
		"tenants delete all, though a foreign key keeps the rows": {
			"create table s.child (t_tenant text, n int, foreign key (t_tenant, n) references s.t); insert into s.child select tenant_id, n from s.t; revoke all on s.child from onepool_app;" +
				policies("delete", "create policy x on s.t for delete using (not ("+nobody+"));"), []string{
				`tenant "acme" could delete 1 rows`, `tenant "globex" could delete 2 rows`}},
		"sound, and a foreign key keeps the rows": {
			"create table s.child (t_tenant text, n int, foreign key (t_tenant, n) references s.t); insert into s.child select tenant_id, n from s.t; revoke all on s.child from onepool_app;" +
				policies("", ""), nil},
		"tenants steal": {policies("update", "create policy x on s.t for update using (true) with check ("+mine+");"), []string{
			`tenant "acme" could change 1 rows`, `tenant "globex" could change 2 rows`}},
		"tenants steal, but for a constraint": {"alter table s.t no force row level security; insert into s.t (tenant_id, n) values ('globex', 1); alter table s.t force row level security;" +
			policies("update", "create policy x on s.t for update using (true) with check ("+mine+");"), []string{
			`tenant "acme"`, `tenant "globex"`}},
		"tenants change a column of all": {"revoke update on s.t from onepool_app; grant update (body) on s.t to onepool_app;" +
			policies("update", "create policy x on s.t for update using (not ("+nobody+"));"), []string{
			`tenant "acme" could change 1 rows`, `tenant "globex" could change 2 rows`}},
		"nobody inserts": {policies("", "create policy x on s.t for insert with check ("+nobody+");"), []string{"a session without a tenant could insert"}},
		"nobody updates": {policies("", "create policy x on s.t for update using ("+nobody+");"), []string{"a session without a tenant could change"}},
		"nobody deletes": {policies("", "create policy x on s.t for delete using ("+nobody+");"), []string{"a session without a tenant could delete 3 rows"}},
		"nobody does anything, without a right": {"revoke all on s.t from onepool_app; grant select on s.t to onepool_app; " +
			policies("select", "create policy x on s.t using ("+mine+");"), nil},
		"a trigger writes the tenant's own name": {
			"create function s.own() returns trigger language plpgsql as $$ begin new.tenant_id := nullif(current_setting('app.current_tenant', true), ''); new.n := 99; return new; end $$;\n" +
				"create trigger own before insert on s.t for each row execute function s.own();\n" + policies("", ""), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testkit.DB(t, testkit.Migrations("s", fstest.MapFS{"00001_t.sql": {Data: []byte(`-- +goose Up
-- +goose StatementBegin
create schema s;
create table s.t (
	id bigint generated always as identity, tenant_id text, n int, body bytea default '\x00ff', at timestamptz default now(),
	twice int generated always as (n * 2) stored, tags text[] default '{a,b}', primary key (tenant_id, n)
);
insert into s.t (tenant_id, n) values ('acme', 1), ('acme', 2), ('globex', 3);
grant usage on schema s to onepool_app;
grant select, insert, update, delete on s.t to onepool_app;
alter table s.t enable row level security; alter table s.t force row level security;
` + c.sql + "\n-- +goose StatementEnd\n")}}))
			got := &complaints{TB: t}
			require.Contains(t, testkit.RequireIsolation(got, db), "s.t")
			require.Len(t, got.all, len(c.want), strings.Join(got.all, "\n"))
			for i, want := range c.want {
				require.Contains(t, got.all[i], want)
			}
		})
	}
}
