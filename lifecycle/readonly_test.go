package lifecycle_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

func refusedWrite(t *testing.T, err error) {
	t.Helper()
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, "25006", pgErr.Code)
}

func TestAPrimaryThatIsReadOnlyForAWhileIsReportedAndUsedAgain(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for name, set := range map[string]func(ctx context.Context, c *pgx.Conn, value string) error{
		"the database's, which sessions keep": func(ctx context.Context, c *pgx.Conn, value string) error {
			_, err := c.Exec(ctx, "alter database postgres set default_transaction_read_only = "+value)
			return err
		},
		"the server's, which sessions follow": func(ctx context.Context, c *pgx.Conn, value string) error {
			if _, err := c.Exec(ctx, "alter system set default_transaction_read_only = "+value); err != nil {
				return err
			}
			_, err := c.Exec(ctx, "select pg_reload_conf()")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := pgfault.Start(t)
			s.Admin(t, func(c *pgx.Conn) {
				_, err := c.Exec(t.Context(), "create table written (n int)")
				require.NoError(t, err)
			})
			turn := func(value string) {
				s.Admin(t, func(c *pgx.Conn) {
					_, err := c.Exec(t.Context(), "set default_transaction_read_only = off")
					require.NoError(t, err)
					require.NoError(t, set(t.Context(), c, value))
				})
			}
			core, logs := observer.New(zap.WarnLevel)
			m := newMonitor(t, s.URL(), func(c *lifecycle.Config) { c.Pool.MinConns = 0; c.Logger = zap.New(core) })
			require.NoError(t, m.Start(t.Context()))
			write := func() error { return use(t, m, "insert into written values (1)") }
			require.NoError(t, write())
			plain, err := pgxpool.New(t.Context(), s.URL())
			require.NoError(t, err)
			defer plain.Close()

			turn("on")
			m.Pool().Reset() // as connections retire in a longer while
			require.Eventually(t, func() bool { err = write(); return err != nil }, time.Minute, time.Millisecond)
			refusedWrite(t, err)
			require.Eventually(t, func() bool {
				_, err = plain.Exec(t.Context(), "insert into written values (1)")
				return err != nil
			}, time.Minute, time.Millisecond)
			refusedWrite(t, err)
			require.Eventually(t, func() bool {
				require.NoError(t, use(t, m, "select 1"), "reads work, and prove that it answers")
				h := m.Health(t.Context())
				return !h.Ready && h.Status == lifecycle.Unhealthy && m.Status() == lifecycle.Unhealthy
			}, time.Minute, time.Millisecond)
			require.Contains(t, m.Health(t.Context()).Error, "default_transaction_read_only")
			acquireAll(t, m, 5)

			turn("off")
			require.Eventually(t, func() bool { return m.Health(t.Context()).Ready }, time.Minute, time.Millisecond)
			for range 10 {
				acquireAll(t, m, 5)
				require.NoError(t, write(), "a connection stayed in it")
			}
			require.Zero(t, logs.FilterMessageSnippet("pool reset").Len())
			_, err = plain.Exec(t.Context(), "insert into written values (1)")
			t.Logf("pgxpool beside: %v", err)
		})
	}
}

func TestAPoolThatIsMeantToBeReadOnlyIsReady(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestReadinessFollowsWhatTheServerSaysItIs")
	s := pgfault.Start(t)
	for _, how := range []url.Values{
		{"default_transaction_read_only": {"on"}},
		{"options": {"-c default_transaction_read_only=on"}},
		{"target_session_attrs": {"read-only"}, "options": {"-c default_transaction_read_only=on"}},
	} {
		u, err := url.Parse(s.URL())
		require.NoError(t, err)
		q := u.Query()
		for name, value := range how {
			q[name] = value
		}
		u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // pgx takes a plus for itself, as libpq does
		m := newMonitor(t, u.String(), nil)
		require.NoError(t, m.Start(t.Context()))
		refusedWrite(t, use(t, m, "create table written (n int)"))
		m.ForgetAnswers()
		h := m.Health(t.Context())
		require.True(t, h.Ready, h.Error)
	}
}
