package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheGateFailsBeyondTwiceTheDocumentedRatio(t *testing.T) {
	t.Parallel()
	of := func(tenant, plain []float64) comparison {
		return comparison{name: "read", documented: 1.5, plain: side{medians: plain}, tenant: side{medians: tenant}}
	}
	require.NoError(t, judge([]comparison{of([]float64{3, 30, 3}, []float64{1, 1, 1})}), "the median of the rounds counts")
	err := judge([]comparison{of([]float64{1}, []float64{1}), of([]float64{3.1, 6.2, 3.1}, []float64{1, 2, 1})})
	require.EqualError(t, err, "read takes 3.10 times as long as on plain pgxpool: docs/benchmarks.md has 1.50, and the gate is 3.00")
	require.Error(t, judge([]comparison{of(nil, nil)}), "nothing was measured")
}

// The ratios of the program are the page's.
func TestThePageHasTheRatios(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/benchmarks.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(page), "`go run ./examples/overhead`")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n## ")
	for _, c := range (&world{}).comparisons() {
		require.Contains(t, section, fmt.Sprintf("| %s ", c.name))
		require.Contains(t, section, fmt.Sprintf("%.2f", c.documented))
	}
}

func TestTheProgramPrintsATableOrFails(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var out bytes.Buffer
	err := run(t.Context(), []string{"-rounds", "1"}, &out, io.Discard)
	if err != nil { // the gate, on a machine that is busy with foreign work
		require.ErrorContains(t, err, "the gate is")
	}
	require.Equal(t, 5, strings.Count(out.String(), "\n"), out.String())
	require.Contains(t, out.String(), "ratio of p50")
	require.NotContains(t, out.String(), " - |", "every figure was measured")
}

func TestWorkThatFailsEndsTheProgram(t *testing.T) {
	t.Parallel()
	c := comparison{name: "read", goroutines: 2, times: 3, plain: side{work: func(context.Context, int) error { return io.ErrUnexpectedEOF }}}
	require.ErrorIs(t, c.round(t.Context(), false), io.ErrUnexpectedEOF)
}
