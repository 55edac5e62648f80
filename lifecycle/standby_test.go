package lifecycle_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// use runs a statement on a connection of the pool's.
func use(t *testing.T, m *lifecycle.Monitor, sql string) error {
	conn, err := m.Acquire(bounded(t), lifecycle.Request{Client: "user"})
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(bounded(t), sql)
	return err
}

func TestAStandbyIsNotReadyForWhoeverWrites(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestReadinessFollowsWhatTheServerSaysItIs")
	s := pgfault.StartRestartable(t)
	core, logs := observer.New(zap.WarnLevel)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Logger = zap.New(core) })
	require.NoError(t, m.Start(bounded(t)))
	require.NoError(t, use(t, m, "create table written (n int)"))
	require.True(t, m.Health(bounded(t)).Ready)
	s.RestartAsStandby(t)

	eventually(t, func() bool { return use(t, m, "select 1") == nil })
	eventually(t, func() bool {
		require.NoError(t, use(t, m, "select 1"), "reads work, and prove that it answers")
		h := m.Health(bounded(t))
		return !h.Ready && h.Status == lifecycle.Unhealthy && m.Status() == lifecycle.Unhealthy
	})
	require.Contains(t, m.Health(bounded(t)).Error, "read-only standby")

	for name, attrs := range map[string]string{"read-only": "read-only", "standby": "standby", "prefer-standby": "prefer-standby"} {
		u, err := url.Parse(s.URL())
		require.NoError(t, err)
		q := u.Query()
		q.Set("target_session_attrs", attrs)
		u.RawQuery = q.Encode()
		core, logs := observer.New(zap.WarnLevel)
		reader := newMonitor(t, u.String(), func(c *lifecycle.Config) { c.Logger = zap.New(core) })
		require.NoError(t, reader.Start(bounded(t)))
		require.Zero(t, logs.FilterMessageSnippet("standby").Len(), name)
		require.NoError(t, use(t, reader, "select 1"))
		reader.ForgetAnswers()
		h := reader.Health(bounded(t))
		require.True(t, h.Ready, "%s: %s", name, h.Error)
	}

	t.Run("an idle pool notices the standby", func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		idle := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Logger = zap.New(core) })
		changes := make(chan lifecycle.Health, 10)
		idle.OnChange(func(h lifecycle.Health) { changes <- h })
		require.NoError(t, idle.Start(bounded(t)))
		require.Equal(t, 1, logs.FilterMessageSnippet("read-only standby").Len(), "the start says so")
		h := receive(t, changes)
		require.False(t, h.Ready)
		require.Contains(t, h.Error, "read-only standby")
	})

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
		_, err := c.Exec(bounded(t), "select pg_promote()")
		require.NoError(t, err)
	})
	eventually(t, func() bool { return m.Health(bounded(t)).Ready })
	require.NoError(t, use(t, m, "insert into written values (1)"))
}

// TestReadinessFollowsWhatTheServerSaysItIs has a function of the database's own, which
// comes before the server's, say that the server is a standby.
func TestReadinessFollowsWhatTheServerSaysItIs(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDatabase(t)
	says := func(standby bool) {
		_, err := db.Admin(t).Exec(bounded(t), fmt.Sprintf("create or replace function says.pg_is_in_recovery() returns bool language sql return %t", standby))
		require.NoError(t, err)
	}
	_, err := db.Admin(t).Exec(bounded(t), "create schema says; alter database "+db.name+" set search_path = says, pg_catalog, public")
	require.NoError(t, err)
	says(true)
	core, logs := observer.New(zap.WarnLevel)
	m := newMonitor(t, db.URL(), func(c *lifecycle.Config) { c.Logger = zap.New(core) })
	changes := make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { changes <- h })
	require.NoError(t, m.Start(bounded(t)))
	require.Equal(t, 1, logs.FilterMessageSnippet("read-only standby").Len(), "the start says so")
	h := m.Health(bounded(t))
	require.False(t, h.Ready)
	require.Contains(t, h.Error, "read-only standby")
	require.Equal(t, []lifecycle.Status{lifecycle.Unhealthy, lifecycle.Unhealthy}, []lifecycle.Status{h.Status, m.Status()})
	require.Equal(t, h.Error, receive(t, changes).Error)

	says(false)
	require.True(t, receive(t, changes).Ready, "a standby that was promoted is noticed unasked")
	require.Equal(t, lifecycle.Healthy, m.Status())
}
