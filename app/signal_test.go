package main

import (
	"context"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
)

// This test is not parallel: the signal reaches every application of the test binary.
func TestASignalDuringTheStartStopsTheApplicationCleanly(t *testing.T) {
	stopped := false
	code := run(fx.New(fx.NopLogger, fx.StopTimeout(time.Minute), fx.Invoke(func(lc fx.Lifecycle) {
		lc.Append(fx.Hook{
			OnStart: func(context.Context) error { return syscall.Kill(syscall.Getpid(), syscall.SIGTERM) },
			OnStop:  func(context.Context) error { stopped = true; return nil },
		})
	})))
	require.Zero(t, code)
	require.True(t, stopped, "the pool's drain would be skipped")
}
