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

// lateContext is a context whose deadline passes when its channel is closed.
type lateContext struct {
	context.Context
	at     time.Time
	passed chan struct{}
}

func (c lateContext) Deadline() (time.Time, bool) { return c.at, true }
func (c lateContext) Done() <-chan struct{}       { return c.passed }

func (c lateContext) Err() error {
	select {
	case <-c.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// requireSession waits until the row of conn in pg_stat_activity meets the condition.
func (s session) requireSession(t *testing.T, conn *pgx.Conn, condition string) {
	require.Eventually(t, func() (is bool) {
		require.NoError(t, s.QueryRow(within(t), "select "+condition+" from pg_stat_activity where pid = $1", int32(conn.PgConn().PID())).Scan(&is))
		return is
	}, time.Minute, time.Millisecond)
}

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
		is := func(condition string) { s.requireSession(t, conn, condition) }
		_, err = s.Exec(within(t), "select pg_advisory_lock(1)")
		require.NoError(t, err)
		ctx := lateContext{context.Background(), time.Now().Add(time.Hour), make(chan struct{})}
		ran := make(chan error, 1)
		go func() {
			scoped.CancelAtDeadline(ctx, conn)
			_, err := conn.Exec(ctx, "select pg_advisory_xact_lock(1)")
			ran <- scoped.Ended(conn, err)
		}()
		is("coalesce(wait_event_type = 'Lock', false)")
		close(ctx.passed)
		<-asked
		_, err = s.Exec(within(t), "select pg_advisory_unlock(1)")
		require.NoError(t, err)
		is("state = 'idle'") // the statement has ended in time
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

// A later statement may have the same context, and its caller may know nothing of a cancel.
func TestACancelIsForOneStatement(t *testing.T) {
	t.Parallel()
	s := connect(t, pgx.QueryExecModeCacheStatement)
	cc := s.Config().Copy()
	asked := false
	cc.BuildContextWatcherHandler = scoped.NewWatcher(func() time.Duration { return time.Minute }, func(*pgconn.PgConn) bool {
		asked = true
		return true
	})
	conn, err := pgx.ConnectConfig(within(t), cc)
	require.NoError(t, err)
	ctx := lateContext{context.Background(), time.Now().Add(time.Hour), make(chan struct{})}
	scoped.CancelAtDeadline(ctx, conn)
	_, err = conn.Exec(ctx, "select 1")
	require.NoError(t, scoped.Ended(conn, err))
	_, err = s.Exec(within(t), "select pg_advisory_lock(1)")
	require.NoError(t, err)
	ran := make(chan error, 1)
	go func() {
		_, err := conn.Exec(ctx, "select pg_advisory_xact_lock(1)")
		ran <- err
	}()
	s.requireSession(t, conn, "coalesce(wait_event_type = 'Lock', false)")
	close(ctx.passed)
	require.Error(t, <-ran)
	require.False(t, asked)
}
