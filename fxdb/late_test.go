package fxdb_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/faultproxy"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// The pool cancels at the deadline if the server sees the pool's own address. Behind a proxy the
// statement carries the deadline.
func TestADeadlineAloneIsNoScope(t *testing.T) {
	t.Parallel()
	direct := notesDB(t, testkit.Config(one))
	cc := direct.Pool().Config().ConnConfig
	proxy, err := faultproxy.New(t, cc.ConnString())
	require.NoError(t, err)
	behind, err := openOn(t, proxy.DatabaseURL(cc.User, cc.Database), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, behind.Close(context.Background())) }()
	limit := func(db *fxdb.DB, ctx context.Context) (seconds int) {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		require.NoError(t, db.QueryRow(ctx, "select extract(epoch from current_setting('statement_timeout')::interval)::int").Scan(&seconds))
		return seconds
	}
	require.Equal(t, 30, limit(direct, t.Context()))
	require.LessOrEqual(t, limit(behind, t.Context()), 20)
	require.LessOrEqual(t, limit(direct, as(t, "acme")), 20)
}

// Statements that can't run behind a scope keep their connections too.
func TestTheServerEndsAStatementThatTakesNoScope(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	endsAtItsDeadline(t, t.Context(), func(ctx context.Context, db *fxdb.DB) error {
		_, err := db.Exec(ctx, "select 1; "+sleeps)
		return err
	})
}

// requireLate requires the error of a statement that the server ended at the caller's deadline.
func requireLate(t testing.TB, err error) {
	t.Helper()
	var pgErr *pgconn.PgError
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, "57014", pgErr.Code)
}

func lateBy(db *fxdb.DB, d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	_, err := db.Exec(ctx, sleeps)
	return err
}

func TestLateCallersOpenNoConnections(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t, testkit.Config(one))
	const application = "late"
	db, err := openOn(t, own.Pool().Config().ConnString(), func(c *fxdb.Config) {
		c.PoolMin, c.PoolMax, c.ApplicationName, c.Dedicated = 4, 4, application, []string{"reports=1"}
	})
	require.NoError(t, err)
	before := db.Stats().Opened
	for range 3 {
		errs := make([]error, 4)
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() { errs[i] = lateBy(db, 100*time.Millisecond) })
		}
		all.Wait()
		for _, err := range errs {
			requireLate(t, err)
		}
	}
	require.Equal(t, before, db.Stats().Opened)
	require.Equal(t, 1, backends(t, own, application+"/cancel"), "all late callers share a connection")
	requireLate(t, lateBy(db.Named("reports"), 100*time.Millisecond))
	require.Equal(t, 2, backends(t, own, application+"/cancel"), "a dedicated pool cancels its own statements")
	require.NoError(t, db.Close(context.Background()))
	requireNoBackends(t, own, application+"/cancel")
}

// A statement takes about as long as its deadline allows: the cancel meets the statement's end.
func TestACancelNeverHitsTheNextStatement(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	deadline, late, inTime := 3*time.Millisecond, 0, 0
	for range size.Of(30, 100, 20_000) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		_, err := db.Exec(ctx, "select pg_sleep(0.002)")
		cancel()
		if err == nil {
			inTime++
			deadline -= 50 * time.Microsecond
		} else {
			late++
			deadline += 50 * time.Microsecond
		}
		_, err = db.Exec(t.Context(), "select pg_sleep(0.002)")
		require.NoError(t, err)
	}
	t.Logf("%d statements were late, and %d were not: the deadline was %s in the end", late, inTime, deadline)
}

func TestAStopEndsLateCallersAndTheirCancels(t *testing.T) {
	t.Parallel()
	own := notesDB(t, testkit.Config(one))
	const application = "stops_late"
	db, err := openOn(t, own.Pool().Config().ConnString(), func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.ApplicationName = 4, 4, application })
	require.NoError(t, err)
	var late atomic.Int32
	enough := make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				err := lateBy(db, 5*time.Millisecond)
				if errors.Is(err, fxdb.ErrDraining) {
					return
				}
				if late.Add(1) == 50 {
					close(enough)
				}
			}
		})
	}
	<-enough
	require.NoError(t, db.Close(context.Background()))
	all.Wait()
	requireNoBackends(t, own, application)
	requireNoBackends(t, own, application+"/cancel")
}
