package clienttest

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// OneConnection returns a database with a client's migrations, and a pool of a single connection
// for [KeepsPlans].
func OneConnection(t testing.TB, source string, migrations fs.FS) *fxdb.DB {
	t.Helper()
	return testkit.DB(t, testkit.Migrations(source, migrations), testkit.Config(func(c *fxdb.Config) {
		c.PoolMin, c.PoolMax, c.NestedAcquire = 1, 1, "off"
	}))
}

// KeepsPlans makes each call twelve times, and fails if the server plans a statement of a call for
// its values after the fifth time. To plan may take longer than to execute. db is of
// [OneConnection], and has tables of some thousand rows: for a small table a plan for any values
// always suffices.
func KeepsPlans(t *testing.T, db *fxdb.DB, calls map[string]func(i int) error) {
	t.Helper()
	seen := []string{}
	for name, call := range calls {
		for i := range 12 {
			require.NoError(t, call(i), name)
		}
		var anew []string
		require.NoError(t, db.QueryRow(tenant.System(t.Context(), "plans"),
			"select coalesce(array_agg(statement), '{}') from pg_prepared_statements where custom_plans > 5 and statement <> all($1)", seen).Scan(&anew))
		assert.Empty(t, anew, name)
		seen = append(seen, anew...)
	}
}
