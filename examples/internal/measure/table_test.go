package measure

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNumbersHaveAboutThreeDigits(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", 0.00123: "0.001", 0.05: "0.05", 1: "1.00", 9.994: "9.99", 9.996: "10.0", 42.42: "42.4",
		99.94: "99.9", 99.96: "100", 12345.6: "12346", -3.14159: "-3.14", math.Inf(1): "-",
	} {
		require.Equal(t, want, Number(v), "%v", v)
	}
	require.Equal(t, "-", Number(math.NaN()))
}

func TestATableIsAlignedMarkdown(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	require.NoError(t, WriteTable(&b, [][]string{{"", "old", "ours"}, {"p99, µs", "12345", "1"}}))
	require.Equal(t, ""+
		"|         |   old | ours |\n"+
		"| ------- | ----: | ---: |\n"+
		"| p99, µs | 12345 |    1 |\n", b.String())
	b.Reset()
	require.NoError(t, WriteTable(&b, nil))
	require.Empty(t, b.String())
}
