package modules_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
)

func TestCacheKeyHashesWhatIsLong(t *testing.T) {
	t.Parallel()
	require.Equal(t, "short", modules.CacheKey("short"))
	require.Equal(t, strings.Repeat("k", 64), modules.CacheKey(strings.Repeat("k", 64)))
	long := modules.CacheKey(strings.Repeat("k", 65))
	require.Len(t, long, 64)
	require.Equal(t, long, modules.CacheKey(strings.Repeat("k", 65)))
	require.NotEqual(t, long, modules.CacheKey(strings.Repeat("k", 66)), "keys with one start must not meet")
}

func TestPurgeGoesOnUntilABatchIsNotFull(t *testing.T) {
	t.Parallel()
	rows := int64(12_001)
	calls := 0
	n, err := modules.Purge(t.Context(), func(_ context.Context, limit int) (int64, error) {
		calls++
		gone := min(rows, int64(limit))
		rows -= gone
		return gone, nil
	})
	require.NoError(t, err)
	require.EqualValues(t, 12_001, n)
	require.Equal(t, 3, calls)

	n, err = modules.Purge(t.Context(), func(_ context.Context, limit int) (int64, error) {
		calls++
		if calls == 5 {
			return 0, errElse
		}
		return int64(limit), nil
	})
	require.ErrorIs(t, err, errElse)
	require.EqualValues(t, 5000, n, "the batch before the error is gone")
}
