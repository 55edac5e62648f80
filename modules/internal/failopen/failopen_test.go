package failopen_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/failopen"
)

func TestFailOpenLetsPassADatabaseThatIsAway(t *testing.T) {
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	f := failopen.New("knowledge", zap.New(core))
	away := []error{
		fxdb.ErrNotStarted, fxdb.ErrDraining, fxdb.ErrAcquireTimeout, fxdb.ErrQueueFull,
		modules.ErrUnavailable, modules.ErrTimeout, modules.ErrSchema,
	}
	for _, err := range away {
		require.True(t, f.Pass(t.Context(), "store", fmt.Errorf("wrapped: %w", err)), err)
		require.NoError(t, f.Drop(t.Context(), "store", err))
	}
	require.EqualValues(t, 2*len(away), f.Dropped())
	require.Equal(t, 2*len(away), logs.Len())
	line := logs.All()[0]
	require.Equal(t, "knowledge goes on without its database", line.Message)
	require.Equal(t, "store", line.ContextMap()["operation"])
	require.Contains(t, line.ContextMap()["error"], "wrapped")
}

func TestFailOpenReturnsEverythingElse(t *testing.T) {
	t.Parallel()
	f := failopen.New("knowledge", nil)
	require.False(t, f.Pass(t.Context(), "store", nil))
	require.NoError(t, f.Drop(t.Context(), "store", nil))
	for _, err := range []error{
		modules.ErrNotFound, modules.ErrConflict, modules.ErrReference, modules.ErrInvalid, modules.ErrForbidden,
		fxdb.ErrTenantRequired, fxdb.ErrTenantNotCarried, fxdb.ErrNestedAcquire, errors.New("something else"), context.Canceled,
	} {
		require.False(t, f.Pass(t.Context(), "store", err), err)
		require.Same(t, err, f.Drop(t.Context(), "store", err))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, f.Drop(gone, "store", modules.ErrTimeout), modules.ErrTimeout, "the caller's own end is not the database's")
	require.Zero(t, f.Dropped())
	require.True(t, f.Pass(t.Context(), "store", modules.ErrTimeout), "without a log, too")
}
