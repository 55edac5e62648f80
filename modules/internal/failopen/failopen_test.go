package failopen_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

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
	line := logs.All()[0]
	require.Equal(t, "knowledge goes on without its database", line.Message)
	require.Equal(t, "store", line.ContextMap()["operation"])
	require.Contains(t, line.ContextMap()["error"], "wrapped")
}

func TestAnOutageLogsALineNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		f := failopen.New("knowledge", zap.New(core))
		pass := func(times int) {
			for range times {
				require.True(t, f.Pass(t.Context(), "store", modules.ErrUnavailable))
			}
		}
		lines := func() (unlogged []any) {
			for _, l := range logs.TakeAll() {
				unlogged = append(unlogged, l.ContextMap()["not_logged"])
			}
			return unlogged
		}
		pass(100)
		require.Equal(t, []any{int64(0)}, lines(), "the first call has a line at once")
		time.Sleep(failopen.LogEvery - 1) //nolint:forbidigo // the clock of synctest
		pass(1)
		require.Empty(t, lines())
		time.Sleep(time.Nanosecond) //nolint:forbidigo // the clock of synctest
		pass(3)
		require.Equal(t, []any{int64(100)}, lines(), "99 of the first calls, and the call before the time")
		time.Sleep(time.Hour) //nolint:forbidigo // the clock of synctest
		pass(2)
		require.Equal(t, []any{int64(2)}, lines())
		require.EqualValues(t, 106, f.Dropped(), "calls without a line count")

		other := failopen.New("web navigator", zap.New(core))
		require.True(t, other.Pass(t.Context(), "store", modules.ErrUnavailable))
		require.Equal(t, []any{int64(0)}, lines(), "a client's lines are its own")
	})
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
