package fxdb_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
)

// openBy opens a pool by a server's socket, which reports less of an end to the client than
// TCP does, and one by TCP.
func openBy(t *testing.T, s *pgfault.Server, role string, change func(*fxdb.Config)) map[string]*fxdb.DB {
	t.Helper()
	pools := make(map[string]*fxdb.DB)
	for name, url := range map[string]string{"socket": s.DatabaseURL(role, "postgres"), "tcp": s.Proxy(t).DatabaseURL(role, "postgres")} {
		cfg := fxdb.Config{URL: url, PoolMin: 3, PoolMax: 3}
		if change != nil {
			change(&cfg)
		}
		db, err := fxdb.Open(t.Context(), cfg)
		require.NoError(t, err)
		t.Cleanup(func() { _ = db.Close(context.Background()) })
		pools[name] = db
	}
	return pools
}

// backendsOf are the pids behind all of a pool's connections.
func backendsOf(t *testing.T, db *fxdb.DB, n int) (pids []int32) {
	t.Helper()
	for range n {
		conn, err := db.Acquire(t.Context())
		require.NoError(t, err)
		defer conn.Release()
		pids = append(pids, int32(conn.Conn().PgConn().PID()))
	}
	return pids
}

var readOnly = pgx.TxOptions{AccessMode: pgx.ReadOnly}

func TestWhatTheServerEndedForTheCallersDoingRunsOnce(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	gone := func(t *testing.T, pid uint32) {
		s.WaitFor(t, "select not exists (select from pg_stat_activity where pid = $1)", int32(pid))
	}
	for name, db := range openBy(t, s, "postgres", func(c *fxdb.Config) { c.IdleInTransactionTimeout = 500 * time.Millisecond }) {
		for ending, end := range map[string]func(tx pgx.Tx) error{
			"with a statement": func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), "select 1"); return err },
			"with its commit":  func(pgx.Tx) error { return nil },
			"with an error of its own": func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), "select 1")
				return fmt.Errorf("the report failed: %w", err)
			},
		} {
			t.Run(name+" "+ending, func(t *testing.T) {
				before := backendsOf(t, db, 3)
				runs := 0
				err := db.InTx(t.Context(), readOnly, func(tx pgx.Tx) error {
					if runs++; runs > 20 {
						return errors.New("it runs for ever")
					}
					_, _ = tx.Exec(t.Context(), "select 1") // on a busy machine it may come too late already
					gone(t, tx.Conn().PgConn().PID())
					return end(tx)
				})
				require.Error(t, err)
				require.Equal(t, 1, runs, "%v", err)
				var pgErr *pgconn.PgError
				if ending != "with an error of its own" {
					require.ErrorAs(t, err, &pgErr)
					require.Equal(t, "25P03", pgErr.Code)
				}
				require.Len(t, intersection(before, backendsOf(t, db, 3)), 2, "the others' connections were closed")
			})
		}
	}
}

func intersection(a, b []int32) (both []int32) {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				both = append(both, x)
			}
		}
	}
	return both
}

// crash ends the backend that runs it with SIGKILL, as a crash of its own would.
const crash = "copy (select 1) to program 'kill -9 $PPID'"

func TestAStatementThatCrashesItsBackendIsSentTwiceAtMost(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestWhatTheServerEndedForTheCallersDoingRunsOnce")
	s := pgfault.StartRestartable(t)
	all := 0
	for name, db := range openBy(t, s.Server, "postgres", nil) {
		for use, run := range map[string]func(ctx context.Context) error{
			"read-only InTx": func(ctx context.Context) error {
				return db.InTx(ctx, readOnly, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, crash); return err })
			},
			"Idempotent Exec": func(ctx context.Context) error { _, err := db.Exec(fxdb.Idempotent(ctx), crash); return err },
			"Idempotent QueryRow": func(ctx context.Context) error {
				return db.QueryRow(fxdb.Idempotent(ctx), crash).Scan(new(int))
			},
		} {
			all++
			require.Error(t, run(t.Context()), "%s %s", name, use)
		}
	}
	// The server is there again after the last one before its log is counted.
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), s.URL())
		if err != nil {
			return false
		}
		defer conn.Close(t.Context())
		return conn.Ping(t.Context()) == nil && s.Crashes(t) >= all
	}, time.Minute, 10*time.Millisecond)
	t.Logf("%d crashes by %d calls", s.Crashes(t), all)
	require.LessOrEqual(t, s.Crashes(t), 2*all)
}
