package testkit_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// logged takes the lines that a test would have logged, and the complaints.
type logged struct {
	complaints
	lines []string
}

func (l *logged) Logf(format string, args ...any) {
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// parents is a sound table with the tenant column org, and rows of two tenants.
const parents = `create schema s; create table s.orders (org text not null, id int not null, body text, primary key (org, id));
insert into s.orders values ('acme', 1, 'a'), ('acme', 2, 'b'), ('globex', 1, 'c');
alter table s.orders enable row level security; alter table s.orders force row level security;
create policy p on s.orders using (org = nullif((select current_setting('app.current_tenant', true)), ''));
`

// isolationOf judges a database with the tables.
func isolationOf(t *testing.T, ddl string, opts ...testkit.IsolationOption) (judged []string, got *logged) {
	t.Helper()
	db := testkit.DB(t, testkit.Migrations("s", fstest.MapFS{"00001_t.sql": {Data: []byte("-- +goose Up\n-- +goose StatementBegin\n" + ddl + "\n-- +goose StatementEnd\n")}}))
	got = &logged{complaints: complaints{TB: t}}
	return testkit.RequireIsolation(got, db, opts...), got
}

func requireComplaints(t *testing.T, got *logged, want []string) {
	t.Helper()
	require.Len(t, got.all, len(want), strings.Join(got.all, "\n"))
	for i, part := range want {
		require.Contains(t, got.all[i], part)
	}
}

func TestRequireIsolationJudgesTheChildrenOfTenantsTables(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const (
		lines = `create table s.lines (id int primary key, order_org text, order_id int, note text, foreign key (order_org, order_id) references s.orders (org, id));
		insert into s.lines values (1, 'acme', 1, 'a'), (2, 'globex', 1, 'b'), (3, null, null, 'nobody'); `
		force = "alter table s.lines enable row level security; alter table s.lines force row level security; "
		asks  = "exists (select from s.orders o where o.org = order_org and o.id = order_id)"
		files = `create table s.files (line_id int references s.lines (id), name text); insert into s.files values (1, 'x'), (2, 'y'); `
	)
	for name, c := range map[string]struct {
		ddl    string
		judged []string
		want   []string
	}{
		"sound": {lines + force + "create policy p on s.lines using (" + asks + ")", []string{"s.lines", "s.orders"}, nil},
		"no policy": {lines, []string{"s.lines", "s.orders"}, []string{
			"a session without a tenant could read", "a session without a tenant could change 2 rows", "a session without a tenant could delete 2 rows", "a session without a tenant could insert",
			`"acme" could read rows of 1 other tenants`, `"acme" could change 1 rows`, `"acme" could delete 1 rows`, `"acme" could give 3 of its rows`, `"acme" could insert`,
			`"globex" could read`, `"globex" could change`, `"globex" could delete`, `"globex" could give`, `"globex" could insert`}},
		"open to reads": {lines + force + "create policy p on s.lines using (" + asks + "); create policy r on s.lines for select using (true)", []string{"s.lines", "s.orders"}, []string{
			"a session without a tenant could read", `"acme" could read rows of 1 other tenants`, `"globex" could read`}},
		"open to deletes": {lines + force + "create policy p on s.lines using (" + asks + "); create policy r on s.lines for delete using (true)", []string{"s.lines", "s.orders"}, []string{
			"a session without a tenant could delete 2 rows", `"acme" could delete 1 rows`, `"globex" could delete 1 rows`}},
		"open to inserts": {lines + force + "create policy p on s.lines using (" + asks + "); create policy r on s.lines for insert with check (true)", []string{"s.lines", "s.orders"}, []string{
			"a session without a tenant could insert", `"acme" could insert`, `"globex" could insert`}},
		"own rows can be given away": {lines + force + "create policy p on s.lines using (" + asks + ") with check (true)", []string{"s.lines", "s.orders"}, []string{
			"a session without a tenant could insert", `"acme" could give 1 of its rows`, `"acme" could insert`, `"globex" could give 1 of its rows`, `"globex" could insert`}},
		"a child of a child": {lines + force + "create policy p on s.lines using (" + asks + ");" + files + "alter table s.files enable row level security; create policy p on s.files for select using (name <> '')",
			[]string{"s.files", "s.lines", "s.orders"}, []string{"a session without a tenant could read", `"acme" could read`, `"globex" could read`}},
		"a child of one tenant": {strings.Replace(lines, ", (2, 'globex', 1, 'b')", "", 1) + force + "create policy p on s.lines using (" + asks + ")", []string{"s.lines", "s.orders"}, []string{"rows of 1 tenants"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			judged, got := isolationOf(t, parents+c.ddl, testkit.TenantColumn("org"))
			require.Equal(t, c.judged, judged)
			requireComplaints(t, got, c.want)
			require.Empty(t, got.lines)
		})
	}
}

func TestRequireIsolationJudgesTablesThatAllTenantsWrite(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const kinds = "create table s.kinds (id int primary key, name text); "
	for name, c := range map[string]struct {
		ddl  string
		opts []testkit.IsolationOption
		want []string // complaints
		log  string
	}{
		"without policies":         {kinds, nil, []string{"s.kinds: a session of any tenant can write"}, ""},
		"without rights":           {kinds + "revoke insert, update, delete on s.kinds from onepool_app", nil, nil, "did not judge s.kinds: the table has no tenant, and the role can't write"},
		"out of sight":             {kinds + "revoke all on s.kinds from onepool_app", nil, nil, ""},
		"with a right on a column": {kinds + "revoke insert, update, delete on s.kinds from onepool_app; grant update (name) on s.kinds to onepool_app", nil, []string{"s.kinds: a session of any tenant can write"}, ""},
		"with a policy for reads":  {kinds + "insert into s.kinds values (1, 'a'); alter table s.kinds enable row level security; create policy p on s.kinds for select using (true)", nil, nil, ""},
		"with open policies": {kinds + "insert into s.kinds values (1, 'a'), (2, 'b'); alter table s.kinds enable row level security; create policy p on s.kinds using (true)", nil,
			[]string{`"acme" could change`, `"acme" could delete 2 rows of all tenants`, `"acme" could insert a row for all tenants`}, ""},
		"with policies and no rows": {kinds + "alter table s.kinds enable row level security; create policy p on s.kinds using (true)", nil, nil, "did not judge s.kinds: the table has policies, no tenant and no rows"},
		"allowed":                   {kinds, []testkit.IsolationOption{testkit.AllowTable("s.kinds", "operators fill the table")}, nil, "did not judge s.kinds: allowed: operators fill the table"},
		"allowed without a reason":  {kinds, []testkit.IsolationOption{testkit.AllowTable("s.kinds", " ")}, []string{`AllowTable("s.kinds"): no reason`, "s.kinds: a session"}, ""},
		"allowed and gone":          {"", []testkit.IsolationOption{testkit.AllowTable("s.kinds", "operators fill the table")}, []string{"judges no table of this name"}, ""},
		"a tenants' table allowed":  {kinds + "revoke all on s.kinds from onepool_app; alter table s.orders disable row level security", []testkit.IsolationOption{testkit.AllowTable("s.orders", "being moved")}, []string{"no table has a column org"}, "did not judge s.orders: allowed: being moved"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, got := isolationOf(t, parents+c.ddl, append(c.opts, testkit.TenantColumn("org"))...)
			requireComplaints(t, got, c.want)
			if c.log == "" {
				require.Empty(t, got.lines)
				return
			}
			require.Len(t, got.lines, 1)
			require.Contains(t, got.lines[0], c.log)
		})
	}
}
