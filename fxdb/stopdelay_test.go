package fxdb_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

// waitLeaving waits until readiness is off.
func waitLeaving(t *testing.T, db *fxdb.DB) {
	t.Helper()
	require.Eventually(t, db.Monitor().Leaving, patience, time.Millisecond)
}

// requireServesNotReady checks a pool in its delay.
func requireServesNotReady(t *testing.T, db *fxdb.DB) {
	t.Helper()
	answer := httptest.NewRecorder()
	db.Monitor().Ready().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	require.Equal(t, 503, answer.Code)
	require.Contains(t, answer.Body.String(), "about to stop")
	require.NoError(t, db.Ping(within(t)))
	require.NoError(t, db.Ping(as(t, "acme")))
	require.False(t, db.Monitor().Draining())
}

func TestAStopDelayKeepsServingWithReadinessOff(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.InfoLevel)
	var db *fxdb.DB
	serverStops := make(chan struct{})
	app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: urlOf(t), StopDelay: 5 * time.Second, DrainTimeout: 20 * time.Second}),
		fx.Provide(func() *zap.Logger { return zap.New(core) }), fx.Populate(&db),
		fx.Invoke(func(lc fx.Lifecycle, _ *fxdb.DB) { lc.Append(fx.StopHook(func() { close(serverStops) })) }))
	require.NoError(t, app.Start(within(t)))
	stopped := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { stopped <- app.Stop(ctx) }()
	waitLeaving(t, db)
	requireServesNotReady(t, db)
	select {
	case <-serverStops:
		t.Log("the machine was too busy for a look in the delay")
	default:
	}
	require.NoError(t, receive(t, stopped, "the end of the stop"))
	<-serverStops
	require.ErrorIs(t, db.Ping(within(t)), fxdb.ErrDraining)

	lines := logs.FilterMessage("stop timeline").All()
	require.Len(t, lines, 1)
	line := lines[0].ContextMap()
	require.GreaterOrEqual(t, line["delay"], 5*time.Second)
	for _, step := range []string{"hooks_before", "drain", "budget", "left_for_hooks_behind"} {
		require.GreaterOrEqual(t, line[step], time.Duration(0), step)
	}
	require.GreaterOrEqual(t, line["elapsed"], line["delay"].(time.Duration)+line["hooks_before"].(time.Duration)+line["drain"].(time.Duration))
	require.Less(t, line["elapsed"], line["budget"])
	t.Log(line)
}

func TestCloseKeepsTheStopDelay(t *testing.T) {
	t.Parallel()
	db, err := openOn(t, urlOf(t), func(c *fxdb.Config) { c.StopDelay, c.Dedicated = time.Hour, []string{"reports=1"} })
	require.NoError(t, err)
	closed := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { closed <- db.Close(ctx) }()
	waitLeaving(t, db)
	requireServesNotReady(t, db)
	require.NoError(t, db.Named("reports").Ping(within(t)))
	require.Empty(t, closed)
	cancel()
	require.NoError(t, receive(t, closed, "the end of Close"))
	require.NoError(t, db.Close(context.Background()), "it waits no second time")
}

func TestAStopDelayTakesHalfOfTheStopAtMost(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.WarnLevel)
	db, err := openOn(t, urlOf(t), func(c *fxdb.Config) { c.StopDelay = time.Hour }, fxdb.WithLogger(zap.New(core)))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	require.NoError(t, db.Close(ctx))
	require.NoError(t, ctx.Err(), "the delay took all of the time")
	require.Equal(t, 1, logs.FilterMessageSnippet("DB_STOP_DELAY_MS").Len())
}

// Nobody was served by an application that did not start.
func TestAFailedStartHasNoStopDelay(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	broken := errors.New("no port")
	var db *fxdb.DB
	app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: urlOf(t), StopDelay: time.Hour}), fx.Populate(&db),
		fx.Invoke(func(lc fx.Lifecycle, _ *fxdb.DB) { lc.Append(fx.StartHook(func() error { return broken })) }))
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	began := time.Now()
	require.ErrorIs(t, app.Start(ctx), broken)
	require.Less(t, time.Since(began), patience, "the rollback waited for the delay")
}
