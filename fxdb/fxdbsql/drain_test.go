package fxdbsql_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

const (
	application = "fxdbsql-test"
	deadline    = 300 * time.Millisecond
	// overhead is what a drain may take beyond its deadline on a busy machine;
	// only one that waits for something takes longer.
	overhead = 2 * time.Second
)

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
	{"a running query", func(t *testing.T, s *pgfault.Server, db *sql.DB) work {
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

// TestDrainIsBounded holds every kind of work against a stop, and each of that
// against a server that is well, frozen and gone: the drain keeps its bound, names
// the holder, and leaves neither a backend nor a goroutine.
//
// Not parallel: goroutines are counted.
func TestDrainIsBounded(t *testing.T) {
	const (
		inTime = "finishes in time"
		never  = "does not finish"
		frozen = "on a frozen server"
		gone   = "on a server that is gone"
	)
	for _, kind := range kinds {
		for _, fate := range []string{inTime, never, frozen, gone} {
			t.Run(kind.name+" "+fate, func(t *testing.T) {
				s := pgfault.Start(t)
				ignore := goleak.IgnoreCurrent()
				timeout := deadline
				if fate == inTime {
					timeout = patience
				}
				pool, err := fxdb.Open(t.Context(), fxdb.Config{URL: s.AppURL(), PoolMin: 1, PoolMax: 4, ApplicationName: application, DrainTimeout: timeout})
				require.NoError(t, err)
				db := fxdbsql.Open(pool.Named("worker"))
				w := kind.start(t, s, db)
				require.Equal(t, 1, pool.Stats().Active)
				switch fate {
				case frozen:
					s.Freeze(t)
				case gone:
					s.Kill(t)
				}

				began := time.Now()
				drained := make(chan error, 1)
				go func() { drained <- pool.Close(context.Background()) }()
				require.Eventually(t, pool.Monitor().Draining, patience, tick)
				require.ErrorIs(t, db.PingContext(t.Context()), fxdb.ErrDraining)
				if fate == inTime {
					w.finish(t)
				}
				err = <-drained
				elapsed := time.Since(began)

				var cut *lifecycle.DrainError
				switch {
				case fate == inTime:
					require.NoError(t, err)
				case fate == gone && kind.name == "a running query":
					require.NoError(t, err, "its user saw the end of the connection by itself")
				default:
					t.Logf("drain took %s beyond its deadline", elapsed-deadline)
					require.GreaterOrEqual(t, elapsed, deadline, "work in flight got no chance")
					require.ErrorAs(t, err, &cut)
					require.Len(t, cut.Report.Cut, 1)
					h := cut.Report.Cut[0]
					require.Equal(t, "worker", h.Client)
					require.Equal(t, "acme", h.Tenant)
					require.Contains(t, h.Caller, "fxdbsql_test.")
					require.NotEmpty(t, h.Query)
					require.ErrorContains(t, err, "worker (tenant acme)")
				}
				require.Less(t, elapsed, timeout+overhead)

				switch fate {
				case frozen:
					s.Thaw(t)
					fallthrough
				case inTime, never:
					s.WaitFor(t, "select count(*) = 0 from pg_stat_activity where application_name like $1", application+"%")
				}
				if fate != inTime {
					w.afterwards(t)
				}
				require.NoError(t, db.Close())
				goleak.VerifyNone(t, ignore)
			})
		}
	}
}
