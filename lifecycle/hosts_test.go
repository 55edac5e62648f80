package lifecycle_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/lifecycle"
)

// The race detector found that the answer of a host met the loop that starts the questions.
func TestAHostMayAnswerWhileTheNextIsStillToAsk(t *testing.T) {
	t.Parallel()
	for range 100 {
		silent := lifecycle.AskAll(t.Context(), []string{"a", "b", "c"}, "c", func(address string) bool { return address == "a" })
		require.Empty(t, silent, "a host that refuses is not silent")
	}
}
