package cachetable_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules/internal/cachetable"
)

func TestKeyHashesWhatIsLong(t *testing.T) {
	t.Parallel()
	require.Equal(t, "short", cachetable.Key("short"))
	require.Equal(t, strings.Repeat("k", 63), cachetable.Key(strings.Repeat("k", 63)))
	long := cachetable.Key(strings.Repeat("k", 65))
	require.Len(t, long, 64)
	require.NotEqual(t, long, cachetable.Key(long), "a key must not meet the hash of another")
	require.Len(t, cachetable.Key(long), 64)
	require.Equal(t, long, cachetable.Key(strings.Repeat("k", 65)))
	require.NotEqual(t, long, cachetable.Key(strings.Repeat("k", 66)), "keys with one start must not meet")
}
