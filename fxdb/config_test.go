package fxdb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
)

// setenv clears every setting and sets those given.
func setenv(t *testing.T, settings map[string]string) {
	t.Helper()
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "DB_") || strings.HasPrefix(name, "PG") || name == "DATABASE_URL" {
			t.Setenv(name, "") // t.Setenv restores it
			require.NoError(t, os.Unsetenv(name))
		}
	}
	for name, value := range settings {
		t.Setenv(name, value)
	}
}

func TestSeed17DefaultsOfTheConfiguration(t *testing.T) {
	setenv(t, nil)
	c, err := fxdb.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, 2, c.PoolMin)
	require.Equal(t, 20, c.PoolMax)
	require.Equal(t, 30*time.Second, c.IdleTimeout)
	require.Equal(t, 10*time.Second, c.ConnectionTimeout)
	require.Equal(t, 30*time.Second, c.StatementTimeout)
	require.Equal(t, 30*time.Minute, c.MaxLifetime)
	require.Equal(t, 10*time.Second, c.DrainTimeout)
	require.Equal(t, time.Second, c.SlowQuery)
	require.Equal(t, filepath.Base(os.Args[0]), c.ApplicationName)
	require.Equal(t, "localhost", c.Host)
	require.Equal(t, 5432, c.Port)
	require.Equal(t, "prefer", c.SSLMode)
	require.Equal(t, fxdb.StartRequire, c.Start)
	require.False(t, c.Migrate)
	require.False(t, c.NamesDatabase())
}

func TestSeed18CustomValuesAreKept(t *testing.T) {
	setenv(t, map[string]string{
		"DB_POOL_MIN": "5", "DB_POOL_MAX": "50", "DB_IDLE_TIMEOUT_MS": "60000", "DB_APPLICATION_NAME": "custom-app",
		"DB_STATEMENT_TIMEOUT_MS": "0", "DB_MAX_LIFETIME_MS": "0", "DB_SLOW_QUERY_MS": "0", "DB_SERVER_WAIT_FRACTION": "0", "DB_QUEUE_TARGET_MS": "50", "DB_MIGRATE": "true", "DB_SSL": "true", "DB_TENANT_ROLE": "clerk",
	})
	c, err := fxdb.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, 5, c.PoolMin)
	require.Equal(t, 50, c.PoolMax)
	require.Equal(t, time.Minute, c.IdleTimeout)
	require.Equal(t, "custom-app", c.ApplicationName)
	require.Negative(t, c.StatementTimeout, "0 is off, not the default")
	require.Negative(t, c.MaxLifetime)
	require.Negative(t, c.SlowQuery)
	require.Negative(t, c.ServerWaitFraction)
	require.Equal(t, []time.Duration{50 * time.Millisecond, time.Second}, []time.Duration{c.QueueTarget, c.QueueInterval})
	require.True(t, c.Migrate)
	require.Equal(t, "require", c.SSLMode)
	require.Equal(t, "clerk", c.TenantRole)

	t.Setenv("DB_POOL_MIN", "0")
	c, err = fxdb.ConfigFromEnv()
	require.NoError(t, err)
	require.Zero(t, c.PoolMin, "0 is a value, not the default")
}

// TestSeed19ADatabaseURLIsKeptWhole reads the result where it counts: in the
// configuration that the pool connects with.
func TestSeed19ADatabaseURLIsKeptWhole(t *testing.T) {
	type want struct {
		host, database, user, password string
		port                           uint16
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		want want
	}{
		{"all five parts", map[string]string{"DATABASE_URL": "postgres://u:p@h:5433/d"}, want{"h", "d", "u", "p", 5433}},
		{"escapes", map[string]string{"DATABASE_URL": "postgres://us%40er:p%2Fa%3As%25s@h/d%20b"}, want{"h", "d b", "us@er", "p/a:s%s", 5432}},
		{"IPv6", map[string]string{"DATABASE_URL": "postgres://u:p@[::1]:5433/d"}, want{"::1", "d", "u", "p", 5433}},
		{"a unix socket", map[string]string{"DATABASE_URL": "postgres:///d?host=/run/pg&user=u&password=p"}, want{"/run/pg", "d", "u", "p", 5432}},
		{"several hosts", map[string]string{"DATABASE_URL": "postgres://u:p@h1:1,h2:2/d"}, want{"h1", "d", "u", "p", 1}},
		{"keywords", map[string]string{"DATABASE_URL": "host=h port=7 dbname=d user=u password='p q'"}, want{"h", "d", "u", "p q", 7}},
		{"the URL wins over the parts", map[string]string{"DATABASE_URL": "postgres://u:p@h:5433/d", "DB_HOST": "x", "DB_PORT": "9", "DB_NAME": "x", "DB_USER": "x", "DB_PASSWORD": "x"}, want{"h", "d", "u", "p", 5433}},
		{"parts fill in what the URL leaves out", map[string]string{"DATABASE_URL": "postgres://h", "DB_PORT": "9", "DB_NAME": "d", "DB_USER": "u", "DB_PASSWORD": "p w/&?"}, want{"h", "d", "u", "p w/&?", 9}},
		{"parts fill in what keywords leave out", map[string]string{"DATABASE_URL": "host=h dbname=d", "DB_USER": "u", "DB_PASSWORD": `p'\ w`}, want{"h", "d", "u", `p'\ w`, 5432}},
		{"parts alone", map[string]string{"DB_HOST": "h", "DB_PORT": "9", "DB_NAME": "d b", "DB_USER": "us@er", "DB_PASSWORD": "p%w+x"}, want{"h", "d b", "us@er", "p%w+x", 9}},
		{"a socket folder as host", map[string]string{"DB_HOST": "/run/pg", "DB_NAME": "d", "DB_USER": "u", "DB_PASSWORD": "p"}, want{"/run/pg", "d", "u", "p", 5432}},
	} {
		t.Run(c.name, func(t *testing.T) {
			setenv(t, c.env)
			cfg, err := fxdb.ConfigFromEnv()
			require.NoError(t, err)
			require.True(t, cfg.NamesDatabase())
			cc := fxdb.ConnConfig(t, cfg).ConnConfig
			require.Equal(t, c.want, want{cc.Host, cc.Database, cc.User, cc.Password, cc.Port})
		})
	}
	t.Run("query parameters", func(t *testing.T) {
		setenv(t, map[string]string{
			"DATABASE_URL":    "postgres://u:p@h/d?sslmode=disable&application_name=mine&statement_timeout=1234&search_path=a,b&pool_max_conns=7&connect_timeout=3",
			"DB_POOL_MAX":     "50",
			"DB_SSLMODE":      "verify-full",
			"DB_PASSWORD":     "other",
			"DB_MIGRATE_URL":  "postgres://owner:o@h/d",
			"DB_LOCK_TIMEOUT": "ignored: not a setting",
		})
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err)
		pc := fxdb.ConnConfig(t, cfg)
		cc := pc.ConnConfig
		require.Nil(t, cc.TLSConfig)
		require.Equal(t, "mine", cc.RuntimeParams["application_name"])
		require.Equal(t, "1234", cc.RuntimeParams["statement_timeout"])
		require.Equal(t, "a,b", cc.RuntimeParams["search_path"])
		require.Equal(t, "10000", cc.RuntimeParams["lock_timeout"])
		require.Equal(t, "60000", cc.RuntimeParams["idle_in_transaction_session_timeout"])
		require.EqualValues(t, 7, pc.MaxConns)
		require.Equal(t, 3*time.Second, cc.ConnectTimeout)
	})
}

func TestOpeningAConnectionLeavesTimeForAnotherAttempt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		hosts      string
		wait, want time.Duration
	}{
		{"h", 10 * time.Second, 5 * time.Second},
		{"h1,h2", 10 * time.Second, 5 * time.Second},
		{"h1:1,h1:2,h2:1,h2:2", 10 * time.Second, 2500 * time.Millisecond},
		{"h1,h2,h3,h4,h5,h6", 10 * time.Second, 2 * time.Second}, // a connection far away takes some
		{"h", time.Second, 2 * time.Second},
	} {
		cc := fxdb.ConnConfig(t, fxdb.Config{URL: "postgres://" + c.hosts + "/d", ConnectionTimeout: c.wait}).ConnConfig
		require.Equal(t, c.want, cc.ConnectTimeout, "%v for %s", c.wait, c.hosts)
	}
}

func TestBadSettingsAreRefusedByName(t *testing.T) {
	size.SkipShort(t)
	for _, c := range []struct{ setting, value, reason string }{
		{"DB_PORT", "5432abc", "not a whole number"},
		{"DB_PORT", "0", "1 to 65535"},
		{"DB_PORT", "70000", "1 to 65535"},
		{"DB_POOL_MIN", "-1", "negative"},
		{"DB_POOL_MIN", "21", "more than DB_POOL_MAX"},
		{"DB_POOL_MAX", "0", "at least 1"},
		{"DB_POOL_MAX", "99999999999", "out of range"},
		{"DB_POOL_MAX", "1.5", "not a whole number"},
		{"DB_QUEUE_MAX", "-1", "negative"},
		{"DB_QUEUE_TARGET_MS", "-1", "negative"},
		{"DB_QUEUE_INTERVAL_MS", "0", "at least 1"},
		{"DB_SERVER_WAIT_FRACTION", "1.5", "from 0 (fail at once) to 1"},
		{"DB_SERVER_WAIT_FRACTION", "-0.5", "negative"},
		{"DB_SERVER_WAIT_FRACTION", "NaN", "from 0 (fail at once) to 1"},
		{"DB_REPLICAS_OF_APP", "0", "at least 1"}, {"DB_REPLICAS_OF_APP", "-2", "negative"},
		{"DB_NESTED_ACQUIRE", "loud", "off, warn or strict"},
		{"DB_IDLE_TIMEOUT_MS", "0", "at least 1"},
		{"DB_CONNECTION_TIMEOUT_MS", "0", "at least 1"},
		{"DB_CONNECTION_TIMEOUT_MS", "10s", "not a whole number"},
		{"DB_DRAIN_TIMEOUT_MS", "0", "at least 1"},
		{"DB_STOP_DELAY_MS", "-1", "negative"},
		{"DB_SLOW_QUERY_MS", "-1", "negative"}, {"DB_SLOW_QUERY_MS", "1s", "not a whole number"},
		{"DB_MIGRATE", "perhaps", "neither true nor false"},
		{"DB_SSL", "on it", "neither true nor false"},
		{"DB_SSLMODE", "sometimes", "unknown"},
		{"DB_START", "later", "unknown"},
		{"DB_VERIFY_TENANCY", "x", "unknown"},
		{"DB_SHARING", "maybe", "on, dry-run or off"},
		{"DB_TENANT_MAX_FRACTION", "1.5", "from 0 to 1"},
		{"DB_TENANT_MAX_FRACTION", "half", "not a number"},
		{"DB_TENANT_MAX_FRACTION", "NaN", "from 0 to 1"},
		{"DB_POOLER", "session", "unknown"},
		{"DB_DEDICATED", "knowledge=0", "no number of connections"},
		{"DB_DEDICATED", "knowledge=many", "no number of connections"},
		{"DB_DEDICATED", "=3", "names no client"},
		{"DB_DEDICATED", "app", "names no client"},
		{"DB_DEDICATED", "knowledge,knowledge=3", "twice"},
		{"DB_PASSWORD_FILE", "/does/not/exist", "can't be read"},
		{"DATABASE_URL", "nonsense", "not a connection string"},
		{"DATABASE_URL", "mysql://h/d", "not a connection string"},
		{"DATABASE_URL", "postgres://h:port/d", "can't be parsed"},
		{"DATABASE_URL", "postgres://h/d?sslmode=maybe", "can't be parsed"},
	} {
		t.Run(c.setting+"="+c.value, func(t *testing.T) {
			setenv(t, map[string]string{c.setting: c.value})
			_, err := fxdb.ConfigFromEnv()
			var configErr *fxdb.ConfigError
			require.ErrorAs(t, err, &configErr)
			require.Equal(t, c.setting, configErr.Setting)
			require.ErrorContains(t, err, c.reason)
		})
	}
	t.Run("in a literal too", func(t *testing.T) {
		_, err := fxdb.Open(t.Context(), fxdb.Config{URL: "postgres://h/d", PoolMin: 3, PoolMax: 2})
		require.EqualError(t, err, "fxdb: DB_POOL_MIN: 3 is more than DB_POOL_MAX=2")
		_, err = fxdb.Open(t.Context(), fxdb.Config{URL: "postgres://h/d", MigrateURL: "x"})
		require.ErrorContains(t, err, "DB_MIGRATE_URL")
	})
}

func TestSettingsThatAPoolerCannotCarryAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		env             map[string]string
		setting, reason string // none: fine
	}{
		"nothing else":            {map[string]string{}, "", ""},
		"prepared statements":     {map[string]string{"DATABASE_URL": "postgres://h/d?default_query_exec_mode=cache_statement"}, "DB_POOLER", "default_query_exec_mode=cache_statement"},
		"statements described":    {map[string]string{"DATABASE_URL": "postgres://h/d?default_query_exec_mode=describe_exec"}, "DB_POOLER", "default_query_exec_mode=describe_exec"},
		"exec":                    {map[string]string{"DATABASE_URL": "postgres://h/d?default_query_exec_mode=exec"}, "", ""},
		"simple_protocol":         {map[string]string{"DATABASE_URL": "host=h default_query_exec_mode=simple_protocol"}, "", ""},
		"what PgBouncer keeps":    {map[string]string{"DATABASE_URL": "postgres://h/d?TimeZone=UTC&DateStyle=ISO&client_encoding=UTF8&application_name=x"}, "", ""},
		"limits":                  {map[string]string{"DATABASE_URL": "postgres://h/d?statement_timeout=1&lock_timeout=1"}, "", ""},
		"a search_path":           {map[string]string{"DATABASE_URL": "postgres://h/d?search_path=a"}, "DB_POOLER", "search_path"},
		"options":                 {map[string]string{"PGOPTIONS": "-c geqo=off"}, "DB_POOLER", "options"},
		"migrations":              {map[string]string{"DB_MIGRATE": "true"}, "DB_MIGRATE_URL", "DB_POOLER"},
		"migrations by their own": {map[string]string{"DB_MIGRATE": "true", "DB_MIGRATE_URL": "postgres://h/d"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, c.env)
			t.Setenv("DB_POOLER", "transaction")
			_, err := fxdb.ConfigFromEnv()
			if c.setting == "" {
				require.NoError(t, err)
				return
			}
			var configErr *fxdb.ConfigError
			require.ErrorAs(t, err, &configErr)
			require.Equal(t, c.setting, configErr.Setting)
			require.ErrorContains(t, err, c.reason)
			t.Setenv("DB_POOLER", "none")
			_, err = fxdb.ConfigFromEnv()
			require.NoError(t, err, "without a pooler")
		})
	}
}

// secret needs percent-encoding in a URL and quoting nearly everywhere.
const secret = `s3cr:t/p@ss%w?rd&=+ "'#`

func TestAPasswordIsNeverShown(t *testing.T) {
	size.SkipShort(t)
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	encoded := strings.ReplaceAll(url.QueryEscape(secret), "+", "%20")

	for name, env := range map[string]map[string]string{
		"in a URL":            {"DATABASE_URL": "postgres://u:" + encoded + "@127.0.0.1:1/d"},
		"in a URL's query":    {"DATABASE_URL": "postgres://u@127.0.0.1:1/d?password=" + encoded},
		"in keywords":         {"DATABASE_URL": `host=127.0.0.1 port=1 user=u dbname=d password='` + strings.ReplaceAll(secret, `'`, `\'`) + `'`},
		"in parts":            {"DB_HOST": "127.0.0.1", "DB_PORT": "1", "DB_USER": "u", "DB_NAME": "d", "DB_PASSWORD": secret},
		"in a file":           {"DB_HOST": "127.0.0.1", "DB_PORT": "1", "DB_USER": "u", "DB_NAME": "d", "DB_PASSWORD_FILE": file},
		"in the migrator's":   {"DB_HOST": "127.0.0.1", "DB_PORT": "1", "DB_PASSWORD": secret, "DB_MIGRATE_URL": "postgres://o:" + encoded + "@h/d"},
		"beside a URL":        {"DATABASE_URL": "postgres://u@127.0.0.1:1/d", "DB_PASSWORD": secret},
		"in a URL not parsed": {"DATABASE_URL": "postgres://u:" + secret + "@127.0.0.1:1/d"},
		"with a bad escape":   {"DATABASE_URL": "postgres://u:s3cr%zzt@127.0.0.1:1/d"},
		"with a bad setting":  {"DB_PASSWORD": secret, "DB_POOL_MAX": "x"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, env)
			core, logs := observer.New(zapcore.DebugLevel)
			log := zap.New(core)
			var shown strings.Builder
			show := func(s any) { fmt.Fprintln(&shown, s) }

			cfg, err := fxdb.ConfigFromEnv()
			show(err)
			if err == nil {
				if name != "in the migrator's" && name != "in a file" { // a file is read when connecting
					require.Equal(t, secret, fxdb.ConnConfig(t, cfg).ConnConfig.Password, "the password did not arrive")
				}
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
					show(fmt.Sprintf(verb, cfg))
					show(fmt.Sprintf(verb, &cfg))
					show(fmt.Sprintf(verb, struct{ C fxdb.Config }{cfg}))
				}
				j, err := json.Marshal(cfg)
				require.NoError(t, err)
				show(string(j))
				slog.New(slog.NewTextHandler(&shown, nil)).Info("slog", "cfg", cfg)
				log.Info("zap", zap.Any("any", cfg), zap.Reflect("reflect", cfg), zap.Stringer("stringer", cfg))

				_, err = fxdb.Open(t.Context(), cfg, fxdb.WithLogger(log))
				require.Error(t, err, "nothing listens on port 1")
				show(err)
				show(fmt.Sprintf("%+v %#v", err, err))
			}
			for _, entry := range logs.All() {
				enc, err := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "m"}).EncodeEntry(entry.Entry, entry.Context)
				require.NoError(t, err)
				show(enc.String())
			}
			for _, form := range []string{"s3cr", "p@ss", "p%40ss", "rd&"} {
				require.NotContains(t, shown.String(), form)
			}
		})
	}
}

// scramServer is a server that asks all roles but its administrator for a password. The
// server ends with the process.
var scramServer = sync.OnceValues(func() (*pgfault.Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dev, err := devdb.Start(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, dev.URL())
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	var hba string
	if err := conn.QueryRow(ctx, "show hba_file").Scan(&hba); err != nil {
		return nil, err
	}
	for _, sql := range []string{
		"copy (values ('local all postgres trust'), ('local all all scram-sha-256')) to '" + hba + "'",
		"select pg_reload_conf()",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return nil, err
		}
	}
	return &pgfault.Server{Server: dev}, nil
})

// passwordServer is a server that asks the role for a password, which is secret.
func passwordServer(t *testing.T, role string) (s *pgfault.Server, host string) {
	t.Helper()
	s, err := scramServer()
	require.NoError(t, err)
	s.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(within(t), "do $$ begin create role "+role+" login; exception when duplicate_object or unique_violation then null; end $$")
		require.NoError(t, err)
	})
	setPassword(t, s, role, secret)
	u, err := url.Parse(s.URL())
	require.NoError(t, err)
	return s, u.Query().Get("host")
}

func setPassword(t *testing.T, s *pgfault.Server, role, password string) {
	t.Helper()
	s.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(within(t), "alter role "+role+" password '"+strings.ReplaceAll(password, "'", "''")+"'")
		require.NoError(t, err)
	})
}

func TestAPasswordThatNeedsEncodingLogsIn(t *testing.T) {
	size.SkipShort(t)
	_, host := passwordServer(t, "clerk_of_encodings")
	encoded := strings.ReplaceAll(url.QueryEscape(secret), "+", "%20")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	parts := map[string]string{"DB_HOST": host, "DB_USER": "clerk_of_encodings", "DB_NAME": "postgres"}
	for name, env := range map[string]map[string]string{
		"in a URL":    {"DATABASE_URL": "postgres://clerk_of_encodings:" + encoded + "@/postgres?host=" + host},
		"in keywords": {"DATABASE_URL": "host=" + host + " user=clerk_of_encodings dbname=postgres password='" + strings.ReplaceAll(secret, "'", `\'`) + "'"},
		"in parts":    {"DB_PASSWORD": secret},
		"in a file":   {"DB_PASSWORD_FILE": file},
		"wrong":       {"DB_PASSWORD": secret + "x"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, env)
			if env["DATABASE_URL"] == "" {
				for k, v := range parts {
					t.Setenv(k, v)
				}
			}
			cfg, err := fxdb.ConfigFromEnv()
			require.NoError(t, err)
			db, err := fxdb.Open(t.Context(), cfg)
			if name == "wrong" {
				require.ErrorContains(t, err, "password authentication failed")
				require.NotContains(t, err.Error(), "s3cr")
				return
			}
			require.NoError(t, err)
			require.NoError(t, db.Close(t.Context()))
		})
	}
}

func TestAPasswordMayRotateWithoutARestart(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	for name, build := range map[string]func(t *testing.T, cfg *fxdb.Config, password *atomic.Pointer[string]) []fxdb.Option{
		"a file": func(t *testing.T, cfg *fxdb.Config, _ *atomic.Pointer[string]) []fxdb.Option {
			cfg.PasswordFile = filepath.Join(t.TempDir(), "password")
			require.NoError(t, os.WriteFile(cfg.PasswordFile, []byte(secret), 0o600))
			return nil
		},
		"a source": func(_ *testing.T, _ *fxdb.Config, password *atomic.Pointer[string]) []fxdb.Option {
			return []fxdb.Option{fxdb.WithPasswordSource(func(context.Context) (string, error) { return *password.Load(), nil })}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			role := "clerk_with_" + strings.ReplaceAll(name, " ", "_")
			s, host := passwordServer(t, role)
			cfg := fxdb.Config{Host: host, User: role, Name: "postgres", PoolMin: 1, PoolMax: 3}
			var password atomic.Pointer[string]
			old, rotated := secret, "r0tated"
			password.Store(&old)
			opts := build(t, &cfg, &password)
			db, err := fxdb.Open(t.Context(), cfg, opts...)
			require.NoError(t, err)
			defer db.Close(t.Context())

			setPassword(t, s, role, rotated)
			password.Store(&rotated)
			if cfg.PasswordFile != "" {
				require.NoError(t, os.WriteFile(cfg.PasswordFile, []byte(rotated+"\n"), 0o600))
			}
			for range 3 { // more than are open
				conn, err := db.Acquire(t.Context())
				require.NoError(t, err)
				defer conn.Release()
			}
		})
	}
}

func TestAPasswordSourceIsAskedOnceForManyConnections(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	_, host := passwordServer(t, "clerk_of_many")
	var asked atomic.Int32
	db, err := fxdb.Open(t.Context(), fxdb.Config{Host: host, User: "clerk_of_many", Name: "postgres", PoolMin: 8, PoolMax: 8},
		fxdb.WithPasswordSource(func(context.Context) (string, error) { asked.Add(1); return secret, nil }))
	require.NoError(t, err)
	require.NoError(t, db.Close(t.Context()))
	require.Positive(t, asked.Load())

	boom := errors.New("the secret store is sealed")
	_, err = fxdb.Open(t.Context(), fxdb.Config{Host: host, User: "clerk_of_many", Name: "postgres"},
		fxdb.WithPasswordSource(func(context.Context) (string, error) { return "", boom }))
	require.ErrorIs(t, err, boom)
	_, err = fxdb.Open(t.Context(), fxdb.Config{Host: host, PasswordFile: "/x"},
		fxdb.WithPasswordSource(func(context.Context) (string, error) { return "", nil }))
	require.ErrorContains(t, err, "DB_PASSWORD_FILE")

	var fromGraph atomic.Int32
	startApp(t, fxdb.Config{Host: host, User: "clerk_of_many", Name: "postgres"},
		fx.Supply(fxdb.PasswordSource(func(context.Context) (string, error) { fromGraph.Add(1); return secret, nil })))
	require.Positive(t, fromGraph.Load())
}

func TestASessionReadsTextsAsUTF8UnlessASettingSaysOtherwise(t *testing.T) {
	t.Parallel()
	for params, want := range map[string]string{"": "UTF8", "?client_encoding=LATIN1": "LATIN1", "?Client_Encoding=LATIN1": "LATIN1", "?options=-c%20client_encoding%3DLATIN1": ""} {
		cc := fxdb.ConnConfig(t, fxdb.Config{URL: "postgres://u@h/d" + params}).ConnConfig
		require.Equal(t, want, cc.RuntimeParams["client_encoding"], params)
	}
}
