package lifecycle_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

func TestAPoolThatCannotBeFilledFailsTheStart(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	start := func(pool int32, replicas int) error {
		m := newMonitor(t, s.AppURL(), func(c *lifecycle.Config) { c.Pool.MaxConns, c.Replicas = pool, replicas })
		err := m.Start(t.Context())
		_, _ = lifecycle.Drain(t.Context(), m, time.Minute)
		s.WaitForNoBackends(t, applicationName)
		return err
	}
	require.ErrorContains(t, start(1000, 0), "DB_POOL_MAX is 1000, and one more looks after the server's health, 1001 in all, but the server (max_connections")
	err := start(10, 50)
	require.ErrorContains(t, err, "DB_POOL_MAX is 10, and one more looks after the server's health, in each of DB_REPLICAS_OF_APP, which is 50, 550 in all")
	require.NoError(t, start(5, 2))

	for _, c := range []struct{ alter, undo, want string }{
		{"alter role " + devdb.App + " connection limit 8", "alter role " + devdb.App + " connection limit -1", `role "` + devdb.App + `"`},
		{"alter database postgres connection limit 9", "alter database postgres connection limit -1", `database "postgres"`},
	} {
		alter := func(sql string) {
			s.Admin(t, func(conn *pgx.Conn) {
				_, err := conn.Exec(t.Context(), sql)
				require.NoError(t, err)
			})
		}
		alter(c.alter)
		require.ErrorContains(t, start(5, 2), c.want)
		require.ErrorContains(t, start(4, 2), "10 in all", "the probes have no place")
		require.NoError(t, start(3, 2))
		alter(c.undo)
	}
}
