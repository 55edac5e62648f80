package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheConnectionsGoFrom65To20(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	counts, err := migrate(t.Context())
	require.NoError(t, err)
	// The 66th is the one that the shared pool opens at its start.
	require.Equal(t, []int{65, 66, 65, 50, 65, 50, 40, 30, 20}, counts)

	var out bytes.Buffer
	require.NoError(t, show(&out, counts))
	require.Contains(t, out.String(), "50           orchestrator moves                     agentregistry=10,knowledge=10,webnavigator=10\n")
	require.Regexp(t, `\n20 +webnavigator moves +\n$`, out.String())
}
