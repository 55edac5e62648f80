package main

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheConnectionsGoFrom65To20(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	// The shared pool opens the 66th connection at the start.
	want := []int{65, 66, 65, 50, 65, 50, 40, 30, 20}
	steps := steps
	if !size.Soak() { // a second application with all pools costs seconds
		steps, want = append(slices.Clone(steps[3:4]), steps[8]), []int{50, 20}
	}
	counts, err := migrate(t.Context(), steps)
	require.NoError(t, err)
	require.Equal(t, want, counts)

	var out bytes.Buffer
	require.NoError(t, show(&out, steps, counts))
	require.Regexp(t, `\n50 +orchestrator moves +agentregistry=10,knowledge=10,webnavigator=10\n`, out.String())
	require.Regexp(t, `\n20 +webnavigator moves +\n$`, out.String())
}
