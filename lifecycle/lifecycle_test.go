package lifecycle_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/lifecycle"
)

const applicationName = "lifecycle-test"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newMonitor builds a monitor of a pool of two to five connections; it is
// drained when the test ends.
func newMonitor(t testing.TB, url string, change func(*lifecycle.Config)) *lifecycle.Monitor {
	t.Helper()
	pc, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	pc.MinConns, pc.MaxConns = 2, 5
	pc.ConnConfig.RuntimeParams["application_name"] = applicationName
	cfg := lifecycle.Config{Pool: pc, Origin: t.Name(), Callers: true}
	if change != nil {
		change(&cfg)
	}
	m, err := lifecycle.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = lifecycle.Drain(t.Context(), m, 0) })
	return m
}
