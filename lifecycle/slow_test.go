package lifecycle_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

// slowLines starts a pool with a threshold and takes a connection of it. lines are
// those that were logged since they were asked for last.
func slowLines(t *testing.T, s *pgfault.Server, threshold time.Duration) (conn *pgxpool.Conn, lines func() []map[string]any) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.SlowQuery, c.Logger = threshold, zap.New(core) })
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "reports", Tenant: "acme"})
	require.NoError(t, err)
	t.Cleanup(conn.Release)
	return conn, func() (all []map[string]any) {
		for _, e := range logs.TakeAll() {
			if e.Message == "slow statement" {
				require.Equal(t, zap.WarnLevel, e.Level)
				all = append(all, e.ContextMap())
			}
		}
		return all
	}
}

func TestASlowStatementIsLoggedWithoutItsArguments(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	for name, threshold := range map[string]time.Duration{"by the real clock": 100 * time.Millisecond, "by the monitor's clock": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, lines := slowLines(t, s, threshold)
			seconds := (threshold + threshold/10).Seconds()
			for what, run := range map[string]func() error{
				"exec": func() error {
					_, err := conn.Exec(t.Context(), "select pg_sleep($1),  $2::text", seconds, "s3cret")
					return err
				},
				"batch": func() error {
					b := &pgx.Batch{}
					b.Queue("select pg_sleep($1), $2::text", seconds, "s3cret")
					return conn.SendBatch(t.Context(), b).Close()
				},
			} {
				require.NoError(t, run())
				logged := lines()
				require.Len(t, logged, 1, what)
				require.Equal(t, "reports", logged[0]["client"])
				require.Equal(t, "acme", logged[0]["tenant"])
				require.Equal(t, "select pg_sleep($1), $2::text", logged[0]["statement"])
				require.GreaterOrEqual(t, logged[0]["took"], threshold)
				require.NotContains(t, logged[0], "error")
				require.NotContains(t, logged[0], "sqlstate")
			}
		})
	}
}

func TestAStatementLastsUntilItsRowsAreClosed(t *testing.T) {
	t.Parallel()
	const threshold = 50 * time.Millisecond
	conn, lines := slowLines(t, pgfault.Start(t), threshold)
	began := time.Now()
	rows, err := conn.Query(t.Context(), "select 1")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return time.Since(began) > threshold }, time.Minute, time.Millisecond)
	require.Empty(t, lines())
	rows.Close()
	require.Len(t, lines(), 1)
}

func TestASlowFailureIsLoggedWithItsReasonButNoValue(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	conn, lines := slowLines(t, s, time.Nanosecond) // everything is slow
	for name, c := range map[string]struct {
		field, reason string
		run           func() error
	}{
		"the server's": {"sqlstate", "22P02", func() error {
			_, err := conn.Exec(t.Context(), "select $1::text::int", "s3cret")
			return err
		}},
		"a row that does not fit": {"error", "could not be used", func() error {
			var n int
			return conn.QueryRow(t.Context(), "select $1::text", "s3cret").Scan(&n)
		}},
		"an argument that does not fit": {"error", "could not be used", func() error {
			_, err := conn.Exec(t.Context(), "select $1::int", []string{"s3cret"})
			return err
		}},
	} {
		require.Error(t, c.run(), name)
		logged := lines()
		require.Len(t, logged, 1, name)
		require.Contains(t, logged[0][c.field], c.reason, name)
		for _, v := range logged[0] {
			text, _ := v.(string)
			require.NotContains(t, text, "s3cret", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := conn.Exec(ctx, "select pg_sleep(60)")
	require.Error(t, err)
	logged := lines()
	require.Len(t, logged, 1)
	require.Contains(t, logged[0]["error"], context.DeadlineExceeded.Error())
}

func TestAFastStatementIsNotLogged(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	for _, threshold := range []time.Duration{0, -1, time.Minute} {
		conn, lines := slowLines(t, s, threshold)
		for range 100 {
			_, err := conn.Exec(t.Context(), "select 1")
			require.NoError(t, err)
		}
		_, err := conn.Exec(t.Context(), "select 1 -- "+strings.Repeat("long ", 1000))
		require.NoError(t, err)
		require.Empty(t, lines(), "threshold %v", threshold)
	}
}

func TestNothingIsDatedToBeforeTheStart(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	const threshold = time.Second
	core, logs := observer.New(zap.WarnLevel)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) {
		c.SlowQuery, c.LeakThreshold, c.Logger = threshold, threshold, zap.New(core)
		c.BeforeReady = func(context.Context) error { <-time.After(threshold + threshold/5); return nil }
	})
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "first"})
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "select 1")
	require.NoError(t, err)
	<-time.After(threshold / 5) // watch looks at it meanwhile
	conn.Release()
	require.Zero(t, logs.FilterMessage("slow statement").Len())
	require.Zero(t, logs.FilterMessageSnippet("held too long").Len())
}

func TestAFastStatementOfADrainIsNotLogged(t *testing.T) {
	t.Parallel()
	s := pgfault.Start(t)
	const threshold = time.Second
	core, logs := observer.New(zap.WarnLevel)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.SlowQuery, c.Logger = threshold, zap.New(core) })
	require.NoError(t, m.Start(t.Context()))
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "last"})
	require.NoError(t, err)
	drained := make(chan error, 1)
	go func() { _, err := lifecycle.Drain(context.Background(), m, time.Minute); drained <- err }()
	require.Eventually(t, m.Draining, time.Minute, time.Millisecond)
	<-time.After(threshold + threshold/5)
	_, err = conn.Exec(t.Context(), "select 1")
	require.NoError(t, err)
	require.Zero(t, logs.FilterMessage("slow statement").Len())
	_, err = conn.Exec(t.Context(), "select pg_sleep(1.1)")
	require.NoError(t, err)
	require.Equal(t, 1, logs.FilterMessage("slow statement").Len())
	conn.Release()
	require.NoError(t, <-drained)
}
