package fxdb_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// limits are what the server keeps for a connection of the pool's.
func limits(t testing.TB, db *fxdb.DB) (all [3]string) {
	t.Helper()
	for i, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"} {
		all[i] = settingOf(t, db, t.Context(), name)
	}
	return all
}

// A default is what somebody may expect who has set nothing: not whoever set a limit for
// the role or the database.
func TestLimitsOfTheRoleAndTheDatabaseComeBeforeDefaults(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	for name, c := range map[string]struct {
		sql     string
		options string
		cfg     fxdb.Config
		want    [3]string
	}{
		"nobody":         {"", "", fxdb.Config{}, [3]string{"30s", "10s", "1min"}},
		"the role":       {"alter role %s set statement_timeout = '7s'", "", fxdb.Config{}, [3]string{"7s", "10s", "1min"}},
		"the role, none": {"alter role %s set statement_timeout = 0", "", fxdb.Config{}, [3]string{"0", "10s", "1min"}},
		"the database":   {"alter database %s set lock_timeout = '7s'", "", fxdb.Config{}, [3]string{"30s", "7s", "1min"}},
		"role in the database": {"alter role %[1]s in database %[1]s set idle_in_transaction_session_timeout = '7s'", "",
			fxdb.Config{}, [3]string{"30s", "10s", "7s"}},
		"the options":       {"", "-c statement_timeout=7s --lock-timeout=8s", fxdb.Config{}, [3]string{"7s", "8s", "1min"}},
		"the options first": {"alter role %s set statement_timeout = '9s'", "-cstatement_timeout=7s", fxdb.Config{}, [3]string{"7s", "10s", "1min"}},
		"a setting, none":   {"alter role %s set statement_timeout = '9s'", "", fxdb.Config{StatementTimeout: -1}, [3]string{"0", "10s", "1min"}},
		"a setting first":   {"alter role %s set statement_timeout = '9s'", "", fxdb.Config{StatementTimeout: 4 * time.Second}, [3]string{"4s", "10s", "1min"}},
		"left to the server": {"alter role %s set statement_timeout = '9s'", "",
			fxdb.Config{StatementTimeout: fxdb.LeftToServer, LockTimeout: fxdb.LeftToServer}, [3]string{"9s", "0", "1min"}},
		"something else": {"alter role %s set search_path = 'x'", "", fxdb.Config{}, [3]string{"30s", "10s", "1min"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			who := newLogin(t, s, c.sql)
			cfg := c.cfg
			cfg.URL, cfg.PoolMin, cfg.PoolMax, cfg.Dedicated = s.DatabaseURL(who, who), 1, 2, []string{"own=1"}
			if c.options != "" {
				require.Contains(t, cfg.URL, "?")
				cfg.URL += "&options=" + strings.ReplaceAll(url.QueryEscape(c.options), "+", "%20")
			}
			db, err := fxdb.Open(t.Context(), cfg)
			require.NoError(t, err)
			defer db.Close(context.Background())
			release := holding(t, db, 1)
			require.Equal(t, c.want, limits(t, db), "of a connection that was opened later")
			release()
			require.Equal(t, c.want, limits(t, db.Named("own")), "of a dedicated pool")
			quick := db.Named("quick", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: 2 * time.Second}))
			require.Equal(t, [3]string{"2s", c.want[1], c.want[2]}, limits(t, quick), "a client's own")
		})
	}
}

// newLogin makes a role with a database, both of one name, and runs sql with that.
func newLogin(t testing.TB, s *pgfault.Server, sql string) (name string) {
	t.Helper()
	name = "login_" + strings.ToLower(rand.Text())
	s.Admin(t, func(c *pgx.Conn) {
		for _, text := range []string{"create role " + name + " login", "create database " + name + " owner " + name, sql} {
			if strings.Contains(text, "%") {
				text = fmt.Sprintf(text, name)
			}
			_, err := c.Exec(t.Context(), text)
			require.NoError(t, err)
		}
	})
	return name
}

func TestLimitsOfAllRolesComeBeforeDefaults(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestLimitsOfTheRoleAndTheDatabaseComeBeforeDefaults")
	s := pgfault.Start(t)
	s.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(t.Context(), "alter role all set lock_timeout = '7s'")
		require.NoError(t, err)
	})
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: s.AppURL(), PoolMax: 2})
	require.NoError(t, err)
	defer db.Close(context.Background())
	require.Equal(t, [3]string{"30s", "7s", "1min"}, limits(t, db))
}

// In the environment a value that is the default too is a setting all the same.
func TestALimitThatSomebodySetIsNoDefault(t *testing.T) {
	size.SkipShort(t)
	s := pgfault.Start(t)
	who := newLogin(t, s, "alter role %s set statement_timeout = '7s'")
	for value, want := range map[string]string{"": "7s", "30000": "30s", "0": "0", "server": "7s"} {
		setenv(t, map[string]string{"DATABASE_URL": s.DatabaseURL(who, who), "DB_STATEMENT_TIMEOUT_MS": value, "DB_POOL_MAX": "2"})
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err)
		db, err := fxdb.Open(t.Context(), cfg)
		require.NoError(t, err)
		require.Equal(t, want, settingOf(t, db, t.Context(), "statement_timeout"), value)
		require.NoError(t, db.Close(t.Context()))
	}
}

func TestMigrationsHaveNoDefaultInPlaceOfTheRolesLimit(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestLimitsOfTheRoleAndTheDatabaseComeBeforeDefaults")
	s := pgfault.Start(t)
	who := newLogin(t, s, "alter role %s set lock_timeout = '7s'")
	source := fstest.MapFS{"00001_limits.sql": {Data: []byte(`-- +goose Up
create table seen as select setting from pg_settings where name = 'lock_timeout';
`)}}
	cfg := fxdb.Config{URL: s.DatabaseURL(who, who), PoolMax: 2, Migrate: true, VerifyTenancy: "warn"}
	db, err := fxdb.Open(t.Context(), cfg, fxdb.WithMigrations("limits", source))
	require.NoError(t, err)
	defer db.Close(context.Background())
	var ms string
	require.NoError(t, db.QueryRow(t.Context(), "select setting from seen").Scan(&ms))
	require.NotEqual(t, "10000", ms, "the default is nobody's wish")
}

// Behind a pooler the limits travel with each transaction, by the same rule.
func TestLimitsOfTheRoleComeBeforeDefaultsBehindAPooler(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	direct, pooler := behindPooler(t)
	var role, database string
	require.NoError(t, direct.QueryRow(t.Context(), "select session_user, current_database()").Scan(&role, &database))
	_, err := testkit.OwnerPool(t, direct).Exec(t.Context(), "alter database "+pgx.Identifier{database}.Sanitize()+" set lock_timeout = '7s'")
	require.NoError(t, err)
	pooler.Command(t, "RECONNECT")
	for _, start := range []fxdb.StartMode{fxdb.StartRequire, fxdb.StartDegrade} {
		db := openPooled(t, pooler.URL(), func(c *fxdb.Config) { c.Start = start })
		require.Equal(t, [3]string{"30s", "7s", "1min"}, limits(t, db))
		require.Equal(t, [3]string{"30s", "7s", "1min"}, limits(t, db.Named("client")))
		require.Equal(t, "7s", settingOf(t, db, as(t, "acme"), "lock_timeout"))
	}
	db := openPooled(t, pooler.URL(), func(c *fxdb.Config) { c.LockTimeout, c.StatementTimeout = 4*time.Second, fxdb.LeftToServer })
	require.Equal(t, [3]string{"0", "4s", "1min"}, limits(t, db))
}

// The rule costs nothing where connections are opened: the start asks once.
func TestOpeningAConnectionTakesAsManyRoundTripsAsPgxpools(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	// Whatever a pool sends beside can only add: the least of some openings counts.
	opened := func(acquire func() (*pgxpool.Conn, error)) int64 {
		var least int64 = math.MaxInt64
		for range 5 {
			var conn *pgxpool.Conn
			n := w.during(t, func() (err error) { conn, err = acquire(); return err })
			require.NoError(t, conn.Conn().Close(t.Context()))
			conn.Release()
			least = min(least, n)
		}
		return least
	}
	pc, err := pgxpool.ParseConfig(w.URL)
	require.NoError(t, err)
	control, err := pgxpool.NewWithConfig(t.Context(), pc)
	require.NoError(t, err)
	defer control.Close()
	want := opened(func() (*pgxpool.Conn, error) { return control.Acquire(t.Context()) })

	db := w.open(t, func(c *fxdb.Config) { c.PoolMax = 2 })
	held, err := db.Acquire(t.Context())
	require.NoError(t, err)
	defer held.Release()
	require.Equal(t, want, opened(func() (*pgxpool.Conn, error) { return db.Acquire(t.Context()) }))
	t.Logf("a connection takes %d round trips", want)
}
