package fxdbsql_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// deadline is a drain's, of work that does not finish.
const deadline = 300 * time.Millisecond

// aQuery is the one kind of work whose user waits for the server.
const aQuery = "a running query"

// The lock that a running statement waits for.
const (
	lockSQL = "select pg_advisory_lock(7)"
	waitSQL = "select pg_advisory_xact_lock(7)"
)

// work is under way when a stop comes. finish ends it as its user would, and
// afterwards ends it after all: late and in vain, but safely.
type work struct{ finish, afterwards func(t *testing.T) }

// kinds of work, by database/sql's names.
var kinds = []struct {
	name  string
	start func(t *testing.T, s *pgfault.Server, db *sql.DB) work
}{
	{aQuery, func(t *testing.T, s *pgfault.Server, db *sql.DB) work {
		lock, err := pgx.Connect(t.Context(), s.URL())
		require.NoError(t, err)
		t.Cleanup(func() { lock.PgConn().Conn().Close() }) // a frozen server takes no farewell
		_, err = lock.Exec(t.Context(), lockSQL)
		require.NoError(t, err)
		done := make(chan error, 1)
		ctx := as(t, "acme")
		go func() {
			var nothing any
			done <- db.QueryRowContext(ctx, waitSQL).Scan(&nothing)
		}()
		s.WaitForQuery(t, waitSQL)
		return work{
			finish: func(t *testing.T) {
				_, err := lock.Exec(context.Background(), "select pg_advisory_unlock(7)")
				require.NoError(t, err)
				require.NoError(t, <-done)
			},
			afterwards: func(t *testing.T) { require.Error(t, <-done) },
		}
	}},
	{"open rows", func(t *testing.T, _ *pgfault.Server, db *sql.DB) work {
		rows, err := db.QueryContext(as(t, "acme"), "select generate_series(1, 20000), repeat('x', 1000)")
		require.NoError(t, err)
		require.True(t, rows.Next())
		return work{
			finish: func(t *testing.T) { require.NoError(t, rows.Close()) },
			afterwards: func(t *testing.T) {
				for rows.Next() {
				}
				require.Error(t, rows.Err())
				_ = rows.Close()
			},
		}
	}},
	{"an open transaction", func(t *testing.T, _ *pgfault.Server, db *sql.DB) work {
		tx, err := db.BeginTx(as(t, "acme"), nil)
		require.NoError(t, err)
		_, err = tx.Exec("create temp table uncommitted ()")
		require.NoError(t, err)
		return work{
			finish: func(t *testing.T) { require.NoError(t, tx.Commit()) },
			afterwards: func(t *testing.T) {
				_, err := tx.Exec("select 1")
				require.Error(t, err)
				require.Error(t, tx.Commit())
			},
		}
	}},
	{"a held session", func(t *testing.T, _ *pgfault.Server, db *sql.DB) work {
		session, err := db.Conn(t.Context())
		require.NoError(t, err)
		require.Equal(t, "acme", tenantOf(t, session, as(t, "acme")))
		return work{
			finish: func(t *testing.T) { require.NoError(t, session.Close()) },
			afterwards: func(t *testing.T) {
				_, err := session.ExecContext(context.Background(), "select 1")
				require.Error(t, err)
				require.Error(t, session.PingContext(context.Background()))
				require.NoError(t, session.Close())
			},
		}
	}},
}

// stoppedWork is a pool with work of one kind, and a stop.
type stoppedWork struct {
	name  string
	app   string
	pool  *fxdb.DB
	db    *sql.DB
	work  work
	began time.Time // of the stop
	ended time.Time
	ends  chan error
}

// TestDrainIsBounded holds every kind of work against a stop, and each of that
// against a server that is well, frozen and gone: the drain ends, not before its
// deadline, names the holder, and leaves neither a backend nor a goroutine.
//
// Not parallel: goroutines are counted.
func TestDrainIsBounded(t *testing.T) {
	size.SkipUnlessSoak(t, "fxdb's TestDrainTable")
	lasting := pgfault.Start(t)
	for _, fate := range []fate{
		{name: "finishes in time", inTime: true},
		{name: "does not finish"},
		{name: "on a frozen server", frozen: true},
		{name: "on a server that is gone", gone: true},
	} {
		if size.Of(fate.frozen || fate.gone, false, false) {
			continue // fxdb's table of drains has such flights at every size
		}
		t.Run(fate.name, func(t *testing.T) {
			ignore := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
			s := lasting
			if fate.gone {
				s = pgfault.Start(t)
			}
			var all []*stoppedWork
			for i, kind := range kinds {
				w := &stoppedWork{name: kind.name, app: fmt.Sprint("fxdbsql-test-", i), ends: make(chan error, 1)}
				timeout := deadline
				if fate.inTime {
					timeout = 2 * patience
				}
				var err error
				w.pool, err = fxdb.Open(t.Context(), fxdb.Config{
					URL: s.AppURL(), PoolMin: 1, PoolMax: 4, ApplicationName: w.app, DrainTimeout: timeout,
					StatementTimeout: time.Hour, LockTimeout: time.Hour, IdleInTransactionTimeout: time.Hour,
				})
				require.NoError(t, err)
				w.db = fxdbsql.Open(w.pool.Named("worker"))
				w.work = kind.start(t, s, w.db)
				require.Equal(t, 1, w.pool.Stats().Active)
				all = append(all, w)
			}
			switch {
			case fate.frozen:
				s.Freeze(t)
			case fate.gone:
				s.Kill(t)
			}
			for _, w := range all {
				w.stop(t)
			}
			for _, w := range all {
				t.Run(w.name, func(t *testing.T) { w.judge(t, fate) })
			}
			s.Thaw(t)
			for _, w := range all {
				if !fate.gone {
					s.WaitFor(t, "select count(*) = 0 from pg_stat_activity where application_name like $1", w.app+"%")
				}
				require.NoError(t, w.db.Close())
			}
		})
	}
}

// fate is what becomes of the work, or of the server under it.
type fate struct {
	name                 string
	inTime, frozen, gone bool
}

func (w *stoppedWork) stop(t *testing.T) {
	w.began = time.Now()
	go func() {
		err := w.pool.Close(context.Background())
		w.ended = time.Now()
		w.ends <- err
	}()
	require.Eventually(t, w.pool.Monitor().Draining, patience, tick)
	require.ErrorIs(t, w.db.PingContext(t.Context()), fxdb.ErrDraining)
}

func (w *stoppedWork) judge(t *testing.T, fate fate) {
	if fate.inTime {
		w.work.finish(t)
	}
	var err error
	select {
	case err = <-w.ends:
	case <-time.After(patience):
		t.Fatal("the drain does not end")
	}
	switch {
	case fate.inTime:
		require.NoError(t, err)
	case fate.gone && w.name == aQuery:
		require.NoError(t, err, "its user saw the end of the connection by itself")
	default:
		elapsed := w.ended.Sub(w.began)
		t.Logf("drain took %s beyond its deadline", elapsed-deadline)
		require.GreaterOrEqual(t, elapsed, deadline, "work in flight got no chance")
		var cut *lifecycle.DrainError
		require.ErrorAs(t, err, &cut)
		require.Len(t, cut.Report.Cut, 1)
		h := cut.Report.Cut[0]
		require.Equal(t, "worker", h.Client)
		require.Equal(t, "acme", h.Tenant)
		require.Contains(t, h.Caller, "fxdbsql_test.")
		require.NotEmpty(t, h.Query)
		require.ErrorContains(t, err, `worker (tenant "acme")`)
	}
	if !fate.inTime {
		w.work.afterwards(t)
	}
}
