package lifecycle_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/pgfault"
	"github.com/agentagency/onepool/lifecycle"
)

// use runs a statement on a connection of the pool's.
func use(t *testing.T, m *lifecycle.Monitor, sql string) error {
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "user"})
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), sql)
	return err
}

func TestAStandbyIsNotReadyForWhoeverWrites(t *testing.T) {
	t.Parallel()
	s := pgfault.StartRestartable(t)
	core, logs := observer.New(zap.WarnLevel)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Logger = zap.New(core) })
	require.NoError(t, m.Start(t.Context()))
	require.NoError(t, use(t, m, "create table written (n int)"))
	require.True(t, m.Health(t.Context()).Ready)
	s.RestartAsStandby(t)

	require.Eventually(t, func() bool { return use(t, m, "select 1") == nil }, time.Minute, time.Millisecond)
	require.Eventually(t, func() bool {
		require.NoError(t, use(t, m, "select 1"), "reads work, and prove that it answers")
		h := m.Health(t.Context())
		return !h.Ready && h.Status == lifecycle.Unhealthy && m.Status() == lifecycle.Unhealthy
	}, 10*time.Second, time.Millisecond)
	require.Contains(t, m.Health(t.Context()).Error, "read-only standby")

	for name, attrs := range map[string]string{"read-only": "read-only", "standby": "standby", "prefer-standby": "prefer-standby"} {
		u, err := url.Parse(s.URL())
		require.NoError(t, err)
		q := u.Query()
		q.Set("target_session_attrs", attrs)
		u.RawQuery = q.Encode()
		core, logs := observer.New(zap.WarnLevel)
		reader := newMonitor(t, u.String(), func(c *lifecycle.Config) { c.Logger = zap.New(core) })
		require.NoError(t, reader.Start(t.Context()))
		require.Zero(t, logs.FilterMessageSnippet("standby").Len(), name)
		require.NoError(t, use(t, reader, "select 1"))
		reader.ForgetAnswers()
		h := reader.Health(t.Context())
		require.True(t, h.Ready, "%s: %s", name, h.Error)
	}

	reset := func() int {
		return logs.FilterMessageSnippet("pool reset").FilterField(zap.String("sqlstate", "25006")).Len()
	}
	before := acquireAll(t, m, 5)
	require.Zero(t, reset())
	write := func() {
		var pgErr *pgconn.PgError
		require.ErrorAs(t, use(t, m, "insert into written values (1)"), &pgErr)
		require.Equal(t, "25006", pgErr.Code)
	}
	write()
	require.Equal(t, 1, reset())
	after := acquireAll(t, m, 5)
	require.Empty(t, intersect(before, after))
	for range 10 {
		write()
	}
	require.Equal(t, 1, reset(), "writes that fail took the readers' connections away")
	require.ElementsMatch(t, after, intersect(after, acquireAll(t, m, 5)))

	s.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(t.Context(), "select pg_promote()")
		require.NoError(t, err)
	})
	require.Eventually(t, func() bool { return m.Health(t.Context()).Ready }, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, use(t, m, "insert into written values (1)"))
}

func TestAStandbyIsToldOfWhereThePoolIsIdle(t *testing.T) {
	t.Parallel()
	s := pgfault.StartRestartable(t)
	s.RestartAsStandby(t)
	core, logs := observer.New(zap.WarnLevel)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Logger = zap.New(core) })
	told := make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { told <- h })
	require.NoError(t, m.Start(t.Context()))
	require.Equal(t, 1, logs.FilterMessageSnippet("read-only standby").Len(), "the start says so")
	select {
	case h := <-told:
		require.False(t, h.Ready)
		require.Contains(t, h.Error, "read-only standby")
	case <-time.After(time.Minute):
		t.Fatal("nobody was told")
	}
}
