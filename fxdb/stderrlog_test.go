package fxdb_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
)

// A warning of the pool must not be lost if the graph has no logger. The test runs itself
// as a second process, whose stderr the test reads.
func TestWithoutALoggerWarningsReachStderr(t *testing.T) {
	t.Parallel()
	if graph := os.Getenv("ONEPOOL_TEST_GRAPH"); graph != "" {
		opts := []fx.Option{fxdb.Module, fx.NopLogger}
		if graph == "nop" {
			opts = append(opts, fx.Supply(zap.NewNop()))
		}
		require.NoError(t, fx.New(opts...).Err())
		return
	}
	for graph, wants := range map[string]bool{"bare": true, "nop": false} {
		t.Run(graph, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(within(t), os.Args[0], "-test.run=^TestWithoutALoggerWarningsReachStderr$")
			cmd.Env = append(os.Environ(), "ONEPOOL_TEST_GRAPH="+graph, "DB_POOL_MX=3")
			var stderr strings.Builder
			cmd.Stderr = &stderr
			require.NoError(t, cmd.Run(), &stderr)
			line := `"msg":"a variable looks like a setting`
			require.Equal(t, wants, strings.Contains(stderr.String(), line), "%s", &stderr)
		})
	}
}
