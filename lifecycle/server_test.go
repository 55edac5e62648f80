package lifecycle_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func TestAPoolThatCannotBeFilledFailsTheStart(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDatabase(t)
	role := db.newRole(t)
	start := func(pool int32, replicas int) error {
		m := newMonitor(t, db.server.DatabaseURL(role, db.name), func(c *lifecycle.Config) { c.Pool.MaxConns, c.Replicas = pool, replicas })
		err := m.Start(bounded(t))
		_, _ = lifecycle.Drain(bounded(t), m, hang)
		db.WaitForBackends(t, 0)
		return err
	}
	require.ErrorContains(t, start(2000, 0), "MaxConns is 2000, and one more watches the server's health, 2001 in all, but the server (max_connections")
	err := start(10, 200)
	require.ErrorContains(t, err, "MaxConns is 10, and one more watches the server's health, in each of Replicas=200, 2200 in all")
	require.NoError(t, start(5, 2))

	for _, c := range []struct{ alter, undo, want string }{
		{"alter role " + role + " connection limit 8", "alter role " + role + " connection limit -1", `role "` + role + `"`},
		{"alter database " + db.name + " connection limit 9", "alter database " + db.name + " connection limit -1", `database "` + db.name + `"`},
	} {
		db.server.run(t, c.alter)
		require.ErrorContains(t, start(5, 2), c.want)
		require.ErrorContains(t, start(4, 2), "10 in all", "the probes have no place")
		require.NoError(t, start(3, 2))
		db.server.run(t, c.undo)
	}
}
