package modules_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
)

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
