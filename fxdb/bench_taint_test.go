package fxdb_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/testkit"
)

// BenchmarkTaint shows what the next caller of a full pool pays for a tainted connection: a
// connection that the pool cleans, and a connection that the pool closes.
func BenchmarkTaint(b *testing.B) {
	ctx := b.Context()
	db := testkit.DB(b, testkit.Config(one))
	behind := func(sql string) func() error {
		return func() error {
			if _, err := db.Exec(ctx, sql); err != nil {
				return err
			}
			var n int
			return db.QueryRow(ctx, "select 1").Scan(&n)
		}
	}
	for _, sql := range []string{"select 1", "set work_mem = '3MB'", "listen jobs"} {
		require.NoError(b, behind(sql)())
	}
	compareTimes(b, 1, 50, way{"plain", behind("select 2")}, way{"cleaned", behind("set work_mem = '3MB'")}, way{"closed", behind("listen jobs")})
}
