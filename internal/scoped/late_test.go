package scoped_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/scoped"
)

// A statement ends while the pool cancels the statement: a late signal would end the next statement.
func TestAConnectionWaitsForTheCancelOfItsStatement(t *testing.T) {
	t.Parallel()
	s := connect(t, pgx.QueryExecModeCacheStatement)
	for _, canceled := range []bool{true, false} {
		asked, answer := make(chan struct{}), make(chan bool)
		cc := s.Config().Copy()
		cc.BuildContextWatcherHandler = scoped.NewWatcher(func() time.Duration { return time.Minute }, func(*pgconn.PgConn) bool {
			close(asked)
			return <-answer
		})
		conn, err := pgx.ConnectConfig(within(t), cc)
		require.NoError(t, err)
		ran := make(chan error, 1)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
			defer cancel()
			scoped.CancelAtDeadline(ctx, conn)
			_, err := conn.Exec(ctx, "select pg_sleep(0.1)")
			ran <- scoped.Ended(conn, err)
		}()
		<-asked
		require.Eventually(t, func() (idle bool) {
			require.NoError(t, s.QueryRow(within(t), "select state = 'idle' from pg_stat_activity where pid = $1", int32(conn.PgConn().PID())).Scan(&idle))
			return idle
		}, time.Minute, time.Millisecond)
		select {
		case err := <-ran:
			require.Fail(t, "the connection is free before the answer to the cancel", "%v", err)
		case <-time.After(20 * time.Millisecond):
		}
		answer <- canceled
		require.NoError(t, <-ran)
		require.Equal(t, !canceled, conn.IsClosed(), "a cancel that may still come")
		if canceled {
			_, err = conn.Exec(within(t), "select 1")
			require.NoError(t, err)
		}
		require.NoError(t, conn.Close(context.Background()))
	}
}
