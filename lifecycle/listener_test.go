package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// listen takes a connection that listens to a channel as a worker does, and gives what
// ended it. handle is called for each notification.
func listen(t *testing.T, m *lifecycle.Monitor, client string, handle func(*pgx.Conn)) (ended <-chan error) {
	t.Helper()
	conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: client})
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `  LISTEN "jobs"`)
	require.NoError(t, err)
	failed := make(chan error, 1)
	go func() {
		defer conn.Release()
		for {
			if _, err := conn.Conn().WaitForNotification(context.Background()); err != nil {
				failed <- err
				return
			}
			if handle != nil {
				handle(conn.Conn())
			}
		}
	}()
	return failed
}

func TestAListenerIsNoLeak(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestADrainEndsAListenerAtOnce")
	s := pgfault.Start(t)
	core, logs := observer.New(zap.InfoLevel)
	m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.LeakThreshold = time.Second; c.Logger = zap.New(core) })
	require.NoError(t, m.Start(t.Context()))
	heard := make(chan struct{})
	ended := listen(t, m, "listener", func(*pgx.Conn) { heard <- struct{}{} })
	leaks := func(client string) int {
		return logs.FilterMessageSnippet("held too long: ").FilterField(zap.String("client", client)).Len()
	}
	for range 3 { // each is held long enough, and later than the listener
		conn, err := m.Acquire(t.Context(), lifecycle.Request{Client: "leaky"})
		require.NoError(t, err)
		before := leaks("leaky")
		require.Eventually(t, func() bool { return leaks("leaky") > before }, time.Minute, time.Millisecond)
		conn.Release()
		s.Admin(t, func(c *pgx.Conn) { _, err := c.Exec(t.Context(), "notify jobs"); require.NoError(t, err) })
		<-heard
	}
	require.Zero(t, leaks("listener"))

	forgotten, err := m.Acquire(t.Context(), lifecycle.Request{Client: "forgotten listener"})
	require.NoError(t, err)
	_, err = forgotten.Exec(t.Context(), "listen jobs")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return leaks("forgotten listener") == 1 }, time.Minute, time.Millisecond, "nobody waits for its notifications")
	forgotten.Release()
	require.Empty(t, ended)
}

func TestADrainEndsAListenerAtOnce(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	for name, url := range map[string]string{"by the socket": s.URL(), "by TCP": s.Proxy(t).DatabaseURL("postgres", "postgres")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMonitor(t, url, nil)
			require.NoError(t, m.Start(t.Context()))
			waits := listen(t, m, "waits", nil)
			finish, handled := make(chan struct{}), make(chan error, 1)
			works := listen(t, m, "works", func(conn *pgx.Conn) {
				<-finish
				_, err := conn.Exec(context.Background(), "select 'what the notification was for'")
				handled <- err
			})
			s.Admin(t, func(c *pgx.Conn) { _, err := c.Exec(t.Context(), "notify jobs"); require.NoError(t, err) })
			require.Eventually(t, func() bool { return m.Listening() == 1 }, time.Minute, time.Millisecond)

			drained := make(chan lifecycle.Report, 1)
			go func() {
				report, err := lifecycle.Drain(context.Background(), m, time.Hour)
				if err != nil {
					t.Error(err)
				}
				drained <- report
			}()
			require.ErrorIs(t, <-waits, lifecycle.ErrDraining)
			select {
			case <-drained:
				t.Fatal("the drain did not wait for the work of a listener")
			case err := <-works:
				t.Fatalf("its work was cut off: %v", err)
			default:
			}
			close(finish)
			require.NoError(t, <-handled)
			require.ErrorIs(t, <-works, lifecycle.ErrDraining, "it waits again")
			report := <-drained
			require.Equal(t, 1, report.InUse, report.String())
			require.Empty(t, report.Cut)
			t.Log(report)
		})
	}
}
