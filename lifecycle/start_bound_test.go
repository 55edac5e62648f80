package lifecycle

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStartsOwnAcquiresHaveABoundOfTheirOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &Monitor{cfg: Config{AcquireTimeout: time.Millisecond}}
		ctx := context.WithValue(context.Background(), warming{}, true)
		a := &acquisition{Context: ctx, m: m}
		require.Equal(t, DefaultAcquireTimeout, a.timeout())
		m.cfg.AcquireTimeout = time.Hour
		require.Equal(t, time.Hour, a.timeout())

		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		a.Context = ctx
		require.Greater(t, a.timeout(), time.Minute, "the context ends first")

		a.Context = context.Background()
		a.request.Timeout = time.Minute
		require.Equal(t, time.Minute, a.timeout(), "users keep their bound")
	})
}
