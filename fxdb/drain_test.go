package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// TestModulesThatStopAfterThePoolGetTheirTime stops an application whose pool can't
// be drained: a module that stops before the pool still has the pool, one that stops
// after the pool still has some time. The drain takes three quarters of the stop's time,
// so that the last quarter is what a busy machine may take.
func TestModulesThatStopAfterThePoolGetTheirTime(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	stopTimeout := size.Of(6*time.Second, 6*time.Second, 20*time.Second)
	for _, w := range []struct {
		name  string
		usual bool // the table of drains has the others
		onset func(*pgfault.Server, testing.TB)
	}{
		{"the work does not finish", true, func(*pgfault.Server, testing.TB) {}},
		{"the server is frozen", false, (*pgfault.Server).Freeze},
		{"the server is gone", false, (*pgfault.Server).Kill},
	} {
		if !w.usual && !size.Soak() {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := pgfault.Start(t)
			var (
				db            *fxdb.DB
				before, after bool
				left          time.Duration
			)
			app := fx.New(fx.NopLogger, fxdb.Module,
				fx.Replace(fxdb.Config{URL: s.AppURL(), DrainTimeout: time.Hour, ApplicationName: "stuck"}),
				fx.Provide(func(lc fx.Lifecycle) *zap.Logger { // the pool needs it, so it stops later
					lc.Append(fx.StopHook(func(ctx context.Context) error {
						deadline, _ := ctx.Deadline()
						after, left = true, time.Until(deadline)
						return ctx.Err()
					}))
					return zap.NewNop()
				}),
				fx.Invoke(func(lc fx.Lifecycle, shared *fxdb.DB) { // it needs the pool, so it stops earlier
					db = shared.Named("early")
					lc.Append(fx.StopHook(func(ctx context.Context) error {
						_, err := db.Exec(ctx, "select 1")
						before = true
						w.onset(s, t)
						return err
					}))
				}))
			require.NoError(t, app.Start(t.Context()))
			tx, err := db.Named("leaky").Begin(as(t, "acme"))
			require.NoError(t, err)
			_, err = tx.Exec(t.Context(), "select 'last words'")
			require.NoError(t, err)
			pid := tx.Conn().PgConn().PID()

			ctx, cancel := context.WithTimeout(t.Context(), stopTimeout)
			defer cancel()
			err = app.Stop(ctx)
			require.True(t, before)
			require.True(t, after, "the module that stops after the pool was passed over")
			t.Logf("%s were left for the module that stops after the pool", left.Round(time.Millisecond))
			require.Positive(t, left)

			var drainErr *lifecycle.DrainError
			require.ErrorAs(t, err, &drainErr)
			require.Len(t, drainErr.Report.Cut, 1)
			h := drainErr.Report.Cut[0]
			require.Equal(t, []any{"early.leaky", "acme", "select 'last words'", pid}, []any{h.Client, h.Tenant, h.Query, h.PID})
			require.Contains(t, h.Caller, "drain_test.go:")
			require.Error(t, tx.Commit(t.Context()), "it comes back late, and does no harm")
			if w.name != "the server is gone" {
				s.Thaw(t)
				s.WaitForNoBackends(t, "stuck")
			}
		})
	}
}
