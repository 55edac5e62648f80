package measure

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStatIsReadBehindTheName(t *testing.T) {
	t.Parallel()
	p, err := parseProcess([]byte("812 (post) (gres: 1) S 7 8 8 0 -1 4194560 51 0 0 0 12 34 500 6 20 0 1 0 99 1 1 1\n"))
	require.NoError(t, err)
	require.Equal(t, process{parent: 7, own: 0.46, reaped: 5.06}, p)
	for _, bad := range []string{"", "1 (x) S 7", "1 (x) S x 8 8 0 -1 4194560 51 0 0 0 12 34 500 6", "1 (x) S 7 8 8 0 -1 4194560 51 0 0 0 12 34 5x 6"} {
		_, err := parseProcess([]byte(bad))
		require.ErrorContains(t, err, "/proc", bad)
	}
}

func TestKilobytesAreAddedUp(t *testing.T) {
	t.Parallel()
	require.InDelta(t, 21, sumKilobytes([]byte("Rss:  9 kB\nPrivate_Clean:   1 kB\nPrivate_Dirty:  20 kB\n"), "Private_"), 0)
	for _, bad := range []string{"", "Rss: 1 kB\n", "Private_Clean: 1 MB\n", "Private_Clean: x kB\n"} {
		require.True(t, math.IsNaN(sumKilobytes([]byte(bad), "Private_")), bad)
	}
}
