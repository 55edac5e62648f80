package docs

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant/rls"
)

var sqlFence = regexp.MustCompile("(?ms)^```sql([^\n]*)\n(.*?)^```$")

// before are the tables and databases that the SQL blocks of a page need.
var before = map[string]string{
	"docs/moving-data.md": `create table agent_profiles (id int, tenant_id text); create table knowledge_queries (id int, requester_id text);
		insert into agent_profiles values (1, 'acme'), (2, null); insert into knowledge_queries values (7, '1'), (8, '2')`,
	"docs/policies.md": "create schema shop; create table shop.orders (tenant_id text, id int)",
	"docs/tenants.md":  "create database shop",
}

// behind are questions whose answer is true after the SQL blocks of a page.
var behind = map[string]string{
	"docs/getting-started.md": "select to_regclass('notes.notes') is null", // behind the way down
	"docs/moving-data.md":     "select array_agg(old_id || tenant_id) = '{7acme}' from moving.owners",
	"docs/policies.md":        "select relrowsecurity and relforcerowsecurity and exists (select from pg_policy where polrelid = c.oid) from pg_class c where oid = 'shop.orders'::regclass",
	"docs/recipes.md":         "select to_regproc('audit_stamp') is not null",
	"docs/tenants.md":         "select has_database_privilege('shop_owner', 'shop', 'create') and not has_database_privilege('shop_app', 'shop', 'temporary')",
}

// TestTheSQLBlocksOfThePagesRun runs the SQL blocks of each page in a database, in their order.
func TestTheSQLBlocksOfThePagesRun(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	seen := 0
	for i, page := range pages(t) {
		blocks := sqlFence.FindAllStringSubmatch(read(t, page), -1)
		if len(blocks) == 0 {
			continue
		}
		seen++
		name := fmt.Sprintf("page_%d", i)
		s.Admin(t, func(admin *pgx.Conn) {
			_, err := admin.Exec(t.Context(), "create database "+name)
			require.NoError(t, err)
			conn, err := pgx.Connect(t.Context(), s.DatabaseURL("postgres", name))
			require.NoError(t, err)
			defer conn.Close(t.Context())
			for _, sql := range strings.Split(before[page], ";") { // CREATE DATABASE runs alone
				_, err := conn.Exec(t.Context(), sql)
				require.NoError(t, err, page)
			}
			for _, b := range blocks {
				require.Empty(t, b[1], "%s: the info string is sql", page)
				_, err := conn.Exec(t.Context(), b[2])
				require.NoError(t, err, "%s: %s", page, b[2])
			}
			var holds bool
			require.Contains(t, behind, page, "what holds behind the SQL blocks of the page?")
			require.NoError(t, conn.QueryRow(t.Context(), behind[page]).Scan(&holds), page)
			require.True(t, holds, "%s: %s", page, behind[page])
		})
	}
	require.Len(t, behind, seen, "a page has lost its SQL blocks")
}

// The page of policies shows what rls.Enable writes.
func TestThePageOfPoliciesShowsTheStatementsOfEnable(t *testing.T) {
	t.Parallel()
	words := func(sql string) string { return strings.Join(strings.Fields(sql), " ") }
	enable := words(rls.Enable(rls.Table{Name: "shop.orders", Column: "tenant_id"}))
	for _, b := range sqlFence.FindAllStringSubmatch(read(t, "docs/policies.md"), -1) {
		for sql := range strings.SplitSeq(regexp.MustCompile("--.*").ReplaceAllString(b[2], ""), ";") {
			require.Contains(t, enable, words(sql))
		}
	}
}
