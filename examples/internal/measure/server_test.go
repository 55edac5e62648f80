package measure

import (
	"context"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheServersOwnView(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	ctx := t.Context()
	s, err := StartServer(ctx)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Stop(context.Background())) })
	require.NoError(t, s.Setup(ctx, "create table t (n int); insert into t values (1)"))
	require.ErrorContains(t, s.Setup(ctx, "nonsense"), "set up:")
	require.NoError(t, s.WaitForNoBackends(ctx))

	before := s.CPU()
	conns := make([]*pgx.Conn, 3)
	for i := range conns {
		conns[i], err = pgx.Connect(ctx, s.URL())
		require.NoError(t, err)
		defer conns[i].Close(ctx)
	}
	backends, err := s.Backends(ctx)
	require.NoError(t, err)
	require.Len(t, backends, 3, "the observer does not count")

	var n int
	require.NoError(t, conns[0].QueryRow(ctx, "select n from t").Scan(&n), "the application may use what the owner made")
	var commit string
	require.NoError(t, conns[0].QueryRow(ctx, "show synchronous_commit").Scan(&commit))
	require.Equal(t, "on", commit)

	if runtime.GOOS == "linux" {
		require.Greater(t, PrivateMemory(backends), 0.5, "three processes")
		_, err = conns[0].Exec(ctx, "select count(*) from generate_series(1, 500000)")
		require.NoError(t, err)
		while := s.CPU()
		require.Greater(t, while, before, "of a child that lives")
		for _, c := range conns {
			require.NoError(t, c.Close(ctx))
		}
		require.NoError(t, s.WaitForNoBackends(ctx))
		require.GreaterOrEqual(t, s.CPU(), while, "of children that have ended")
	}
}
