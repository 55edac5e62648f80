package fxdb_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// hanging is what keeps an OnStop hook that stops before the pool's from ending.
type hanging struct {
	// hang appends hooks, and gives a function that makes it hang after the start.
	hang func(t *testing.T, lc fx.Lifecycle, db *fxdb.DB) func()
	ends bool // as soon as its connection is gone
}

var hangings = map[string]hanging{
	"a server whose request waits for the database": {ends: true, hang: func(t *testing.T, lc fx.Lifecycle, db *fxdb.DB) func() {
		return hangingServer(t, lc, func(http.ResponseWriter, *http.Request) {
			_, _ = db.Named("reports").Exec(context.Background(), "select pg_sleep(1000)")
		})
	}},
	"a server whose request waits for something else": {hang: func(t *testing.T, lc fx.Lifecycle, db *fxdb.DB) func() {
		over := make(chan struct{})
		t.Cleanup(func() { close(over) })
		return hangingServer(t, lc, func(http.ResponseWriter, *http.Request) {
			tx, err := db.Named("reports").Begin(context.Background())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = tx.Rollback(context.Background()) }()
			<-over
		})
	}},
	"workers whose job outlasts the stop": {hang: func(t *testing.T, lc fx.Lifecycle, db *fxdb.DB) func() {
		over, done := make(chan struct{}), make(chan struct{})
		t.Cleanup(func() { close(over); <-done })
		lc.Append(fx.StopHook(func() { <-done })) // it does not look at its context
		return func() {
			tx, err := db.Named("reports").Begin(context.Background())
			require.NoError(t, err)
			go func() {
				defer close(done)
				<-over
				_ = tx.Rollback(context.Background())
			}()
		}
	}},
}

func hangingServer(t *testing.T, lc fx.Lifecycle, handle http.HandlerFunc) func() {
	entered := make(chan struct{})
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		handle(w, r)
	})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	lc.Append(fx.Hook{
		OnStart: func(context.Context) error { go func() { _ = srv.Serve(ln) }(); return nil },
		OnStop:  srv.Shutdown,
	})
	var all sync.WaitGroup
	t.Cleanup(func() { _ = srv.Close(); all.Wait() })
	return func() {
		all.Go(func() {
			if resp, err := http.Get("http://" + ln.Addr().String()); err == nil {
				_ = resp.Body.Close()
			}
		})
		<-entered
	}
}

// TestAStopThatHangsBeforeThePoolStillDrainsIt stops an application one of whose hooks
// would take all of the time.
func TestAStopThatHangsBeforeThePoolStillDrainsIt(t *testing.T) {
	t.Parallel()
	const stopTimeout = 6 * time.Second
	for name, h := range hangings {
		if size.Of(name != "a server whose request waits for something else", false, false) {
			continue
		}
		for place, option := range map[string]func(fx.Option) fx.Option{
			"in the application": func(o fx.Option) fx.Option { return o },
			"in a module":        func(o fx.Option) fx.Option { return fx.Module("server", o) },
		} {
			t.Run(name+" "+place, func(t *testing.T) {
				t.Parallel()
				own := notesDB(t)
				core, logs := observer.New(zap.InfoLevel)
				var hang func()
				app := fx.New(fx.NopLogger, fxdb.Module,
					fx.Replace(fxdb.Config{URL: own.Pool().Config().ConnString(), ApplicationName: "hanging"}),
					fx.Provide(func() *zap.Logger { return zap.New(core) }),
					option(fx.Invoke(func(lc fx.Lifecycle, db *fxdb.DB) { hang = h.hang(t, lc, db) })))
				require.NoError(t, app.Start(t.Context()))
				hang()
				ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
				defer cancel()
				began := time.Now()
				err := app.Stop(ctx)
				t.Logf("stopped after %s: %v", time.Since(began).Round(time.Millisecond), err)

				cut := logs.FilterMessage("pool drained, holders cut off").All()
				require.Len(t, cut, 1, "the drain was skipped, or not reported in fx's time")
				require.Contains(t, cut[0].ContextMap()["cut"].([]any)[0], "reports")
				var drainErr *lifecycle.DrainError
				switch {
				case errors.As(err, &drainErr):
					require.Equal(t, "reports", drainErr.Report.Cut[0].Client)
				case h.ends: // Shutdown looks twice a second
					t.Log("the machine was too busy for the hooks behind")
				default:
					require.ErrorIs(t, err, context.DeadlineExceeded, "fx's word for the hook that hangs")
				}
				requireNoBackends(t, own, "hanging")
			})
		}
	}
	t.Run("pgxpool beside", func(t *testing.T) {
		t.Parallel()
		pool, err := pgxpool.New(t.Context(), urlOf(t))
		require.NoError(t, err)
		defer pool.Close()
		closed := false
		over := make(chan struct{})
		defer close(over)
		app := fx.New(fx.NopLogger, fx.Invoke(func(lc fx.Lifecycle) {
			lc.Append(fx.StopHook(func() { closed = true }))
			lc.Append(fx.StopHook(func() { <-over }))
		}))
		require.NoError(t, app.Start(t.Context()))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, app.Stop(ctx), context.DeadlineExceeded)
		require.False(t, closed, "fx has changed: it runs hooks after the time")
	})
}

func TestWorkGoesOnUntilTheDrainsShareOfTheStopIsLeft(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var after error
	var db *fxdb.DB
	app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: urlOf(t)}), fx.Populate(&db),
		fx.Invoke(func(lc fx.Lifecycle, db *fxdb.DB) {
			lc.Append(fx.StopHook(func(ctx context.Context) { // two thirds of the time
				_, after = db.Exec(ctx, "select pg_sleep(2)")
				if after == nil {
					after = db.Ping(ctx)
				}
			}))
		}))
	require.NoError(t, app.Start(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, app.Stop(ctx))
	require.NoError(t, after)
	require.ErrorIs(t, db.Ping(t.Context()), fxdb.ErrDraining)
}

func TestAStartThatRunsOutOfTimeLeavesNoConnection(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestAFailedStartLeavesNothingOpen")
	s := pgfault.Start(t)
	returned := make(chan struct{})
	app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: s.AppURL(), ApplicationName: "late"}),
		fx.Invoke(func(lc fx.Lifecycle, _ *fxdb.DB) {
			lc.Append(fx.StartHook(func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }))
			lc.Append(fx.StopHook(func() { close(returned) }))
		}))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	require.ErrorIs(t, app.Start(ctx), context.DeadlineExceeded)
	s.WaitForNoBackends(t, "late")
	select {
	case <-returned:
		t.Fatal("fx has changed: it rolls back after the time")
	default:
	}
}

// hookNames keeps what fx calls the hooks.
type hookNames struct {
	mu    sync.Mutex
	names []string
}

func (h *hookNames) LogEvent(e fxevent.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch e := e.(type) {
	case *fxevent.OnStartExecuted:
		h.names = append(h.names, "start "+e.FunctionName)
	case *fxevent.OnStopExecuted:
		h.names = append(h.names, "stop "+e.FunctionName)
	}
}

type named struct{}

func (named) open(context.Context) error  { return nil }
func (named) close(context.Context) error { return errors.New("it does not close") }
func nothing()                            {}

func TestHooksKeepTheirNames(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	hooks := fx.Invoke(func(lc fx.Lifecycle) {
		lc.Append(fx.Hook{OnStart: named{}.open, OnStop: named{}.close})
		lc.Append(fx.Hook{OnStart: named{}.open})
		lc.Append(fx.Hook{OnStop: named{}.close})
		lc.Append(fx.StartStopHook(nothing, named{}.close))
		lc.Append(fx.StopHook(nothing))
		lc.Append(fx.Hook{})
	})
	namesWith := func(opts ...fx.Option) []string {
		var h hookNames
		app := fx.New(fx.WithLogger(func() fxevent.Logger { return &h }), hooks, fx.Options(opts...))
		require.NoError(t, app.Start(t.Context()))
		require.ErrorContains(t, app.Stop(t.Context()), "it does not close")
		return h.names
	}
	own := namesWith()
	require.Len(t, own, 7)
	with := namesWith(fxdb.Module, fx.Replace(fxdb.Config{URL: urlOf(t)}))
	require.Equal(t, own, slices.DeleteFunc(with, func(name string) bool {
		return name == "start github.com/agentagency/onepool/fxdb.(*DB).start-fm()" ||
			name == "stop github.com/agentagency/onepool/fxdb.(*stoppingPool).drain-fm()"
	}))
}
