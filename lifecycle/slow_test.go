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

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// slowLines starts a pool with a threshold and takes a connection of it. lines are
// those that were logged since they were asked for last.
func slowLines(t *testing.T, threshold time.Duration) (conn *pgxpool.Conn, db *database, lines func() []map[string]any) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	m, db := startPool(t, func(c *lifecycle.Config) { c.SlowQuery, c.Logger = threshold, zap.New(core) })
	conn, err := m.Acquire(bounded(t), lifecycle.Request{Client: "reports", Tenant: "acme"})
	require.NoError(t, err)
	t.Cleanup(conn.Release)
	return conn, db, func() (all []map[string]any) {
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
	for name, threshold := range map[string]time.Duration{"by the real clock": 50 * time.Millisecond, "by the monitor's clock": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if threshold >= time.Second {
				size.SkipShort(t) // TestASlowStatementOfADrainIsLogged reads the clock too
			}
			conn, _, lines := slowLines(t, threshold)
			seconds := (threshold + threshold/10).Seconds()
			for what, run := range map[string]func() error{
				"exec": func() error {
					_, err := conn.Exec(bounded(t), "select pg_sleep($1),  $2::text, 's3cret' /* s3cret */", seconds, "s3cret")
					return err
				},
				"batch": func() error {
					b := &pgx.Batch{}
					b.Queue("select pg_sleep($1), $2::text, 's3cret'", seconds, "s3cret")
					return conn.SendBatch(bounded(t), b).Close()
				},
			} {
				require.NoError(t, run())
				logged := lines()
				require.Len(t, logged, 1, what)
				require.Equal(t, "reports", logged[0]["client"])
				require.Equal(t, "acme", logged[0]["tenant"])
				require.Equal(t, "select pg_sleep($1), $2::text, ?", logged[0]["statement"])
				require.GreaterOrEqual(t, logged[0]["took"], threshold)
				require.NotContains(t, logged[0], "error")
				require.NotContains(t, logged[0], "sqlstate")
			}
		})
	}
}

func TestAStatementLastsUntilItsRowsAreClosed(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const threshold = 50 * time.Millisecond
	conn, _, lines := slowLines(t, threshold)
	rows, err := conn.Query(bounded(t), "select 1")
	require.NoError(t, err)
	began := time.Now()
	eventually(t, func() bool { return time.Since(began) > threshold })
	require.Empty(t, lines())
	rows.Close()
	require.Len(t, lines(), 1)
}

func TestASlowFailureIsLoggedWithItsReasonButNoValue(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	conn, db, lines := slowLines(t, time.Nanosecond) // everything is slow
	for name, c := range map[string]struct {
		field, reason string
		run           func() error
	}{
		"the server's": {"sqlstate", "22P02", func() error {
			_, err := conn.Exec(bounded(t), "select $1::text::int", "s3cret")
			return err
		}},
		"a row that does not fit": {"error", "could not be used", func() error {
			var n int
			return conn.QueryRow(bounded(t), "select $1::text", "s3cret").Scan(&n)
		}},
		"an argument that does not fit": {"error", "could not be used", func() error {
			_, err := conn.Exec(bounded(t), "select $1::int", []string{"s3cret"})
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
	giveUp(t, db, conn)
	logged := lines()
	require.Len(t, logged, 1)
	require.Contains(t, logged[0]["error"], context.Canceled.Error())
}

func TestAFastStatementIsNotLogged(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	conn, _, lines := slowLines(t, time.Minute)
	for range 100 {
		_, err := conn.Exec(bounded(t), "select 1")
		require.NoError(t, err)
	}
	_, err := conn.Exec(bounded(t), "select 1 -- "+strings.Repeat("long ", 1000))
	require.NoError(t, err)
	require.Empty(t, lines())
}

// TestNothingIsDatedToBeforeTheStart has a start that takes longer than the thresholds.
func TestNothingIsDatedToBeforeTheStart(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const threshold = time.Minute
	core, logs := observer.New(zap.WarnLevel)
	var m *lifecycle.Monitor
	m, _ = buildPool(t, func(c *lifecycle.Config) {
		c.SlowQuery, c.LeakThreshold, c.Logger = threshold, threshold, zap.New(core)
		c.BeforeReady = func(context.Context) error { m.SetClockBack(2 * threshold); return nil }
	})
	require.NoError(t, m.Start(bounded(t)))
	conn := acquire(t, m, "first")
	_, err := conn.Exec(bounded(t), "select 1")
	require.NoError(t, err)
	for range 2 { // the second time it has assessed, too
		now := m.Clock()
		eventually(t, func() bool { return m.Clock().After(now) })
	}
	conn.Release()
	require.Zero(t, logs.FilterMessage("slow statement").Len())
	require.Zero(t, logs.FilterMessageSnippet("held too long").Len())
}

// TestAFastStatementOfADrainIsNotLogged has a clock that stands still until somebody
// keeps it. TestASlowStatementOfADrainIsLogged has the slow one.
func TestAFastStatementOfADrainIsNotLogged(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const threshold = time.Minute
	core, logs := observer.New(zap.WarnLevel)
	m, _ := startPool(t, func(c *lifecycle.Config) { c.SlowQuery, c.Logger = threshold, zap.New(core) })
	conn := acquire(t, m, "last")
	drained := beginDrain(t, m)
	for range 20 {
		m.SetClockBack(2 * threshold)
		_, err := conn.Exec(bounded(t), "select 1")
		require.NoError(t, err)
	}
	require.Zero(t, logs.FilterMessage("slow statement").Len())
	conn.Release()
	require.NoError(t, receive(t, drained))
}
