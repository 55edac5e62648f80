package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
)

func TestAnApplicationWithoutItsServerShutsDown(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	gone := pgfault.Start(t)
	url := gone.AppURL()
	gone.Kill(t)
	s := pgfault.Start(t)
	for name, c := range map[string]struct {
		cfg   fxdb.Config
		fault func(db *fxdb.DB)
	}{
		"after the start": {fxdb.Config{URL: s.AppURL()}, func(db *fxdb.DB) {
			s.Kill(t)
			ctx, cancel := context.WithCancel(t.Context())
			t.Cleanup(cancel)
			go func() { _ = db.Ping(ctx) }()
		}},
		"since the start": {fxdb.Config{URL: url, Start: fxdb.StartDegrade}, func(*fxdb.DB) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			core, logs := observer.New(zap.ErrorLevel)
			var db *fxdb.DB
			app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(c.cfg), fx.Populate(&db), fxdb.ShutdownOnUnhealthy(100*time.Millisecond),
				fx.Provide(func() *zap.Logger { return zap.New(core) }))
			require.NoError(t, app.Start(within(t)))
			c.fault(db)
			require.Equal(t, 1, receive(t, app.Wait(), "the shutdown").ExitCode)
			require.NoError(t, app.Stop(within(t)))
			logged := logs.FilterMessageSnippet("ShutdownOnUnhealthy").All()
			require.Len(t, logged, 1)
			require.NotEmpty(t, logged[0].ContextMap()["cause"])
			t.Log(logged[0].ContextMap())
		})
	}
}

func TestAStopIsNotUnhealthy(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.ErrorLevel)
	app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: urlOf(t), StopDelay: 200 * time.Millisecond}),
		fxdb.ShutdownOnUnhealthy(time.Nanosecond), fx.Supply(zap.New(core)))
	require.NoError(t, app.Start(within(t)))
	require.NoError(t, app.Stop(within(t)))
	require.Empty(t, logs.All())
	require.ErrorContains(t, fx.New(fx.NopLogger, fxdb.ShutdownOnUnhealthy(0)).Err(), "must be more than 0")
}
