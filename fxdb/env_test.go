package fxdb_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

// A file with a secret often ends in a line break, and whoever mounts it as a variable
// mounts that, too.
func TestALineBreakAtTheEndOfAValueIsDropped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte("file's\r\n\n"), 0o600))
	for _, end := range []string{"\n", "\r\n", "\n\n"} {
		setenv(t, nil)
		for name, value := range map[string]string{
			"DB_HOST": "h", "DB_PORT": "5433", "DB_NAME": "d", "DB_USER": "u", "DB_PASSWORD": "p w ", "DB_SSLMODE": "disable", "DB_SSL": "true",
			"DB_POOL_MAX": "3", "DB_TENANT_MAX_FRACTION": "0.5", "DB_STATEMENT_TIMEOUT_MS": "server", "DB_APPLICATION_NAME": "a", "DB_START": "wait",
			"DB_TENANT_ROLE": "r", "DB_MIGRATE": "true", "DB_DEDICATED": "x,y=3", "DB_MIGRATE_URL": "postgres://o:p@h/d", "DB_NESTED_ACQUIRE": "off",
		} {
			t.Setenv(name, value+end)
		}
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err, "%q", end)
		cc := fxdb.ConnConfig(t, cfg).ConnConfig
		require.Equal(t, target{host: "h", port: 5433, database: "d", user: "u", password: "p w "}, targetOf(fxdb.ConnConfig(t, cfg)))
		require.Equal(t, "a", cc.RuntimeParams["application_name"])
		require.Equal(t, []any{fxdb.StartWait, "r", fxdb.NestedOff}, []any{cfg.Start, cfg.TenantRole, cfg.NestedAcquire})
		require.Equal(t, []string{"x", "y=3"}, cfg.Dedicated)
		require.Equal(t, "p", fxdb.MigrateConfig(t, cfg).ConnConfig.Password)
		require.Equal(t, fxdb.LeftToServer, cfg.StatementTimeout)

		for _, connString := range []string{"postgres://u:p@h/d", "postgres://u:p@h/d?sslmode=disable", "host=h dbname=d user=u password=p", `host=h dbname=d user=u password='p'`} {
			setenv(t, map[string]string{"DATABASE_URL": connString + end})
			cfg, err = fxdb.ConfigFromEnv()
			require.NoError(t, err)
			cc = fxdb.ConnConfig(t, cfg).ConnConfig
			require.Equal(t, []string{"h", "d", "u", "p"}, []string{cc.Host, cc.Database, cc.User, cc.Password}, "%q", connString)
		}
		setenv(t, map[string]string{"DB_PASSWORD_FILE": file + end, "DB_HOST": "h"})
		cfg, err = fxdb.ConfigFromEnv()
		require.NoError(t, err)
		require.Equal(t, file, cfg.PasswordFile)
		setenv(t, map[string]string{"DB_HOST": end, "DB_POOL_MAX": end})
		cfg, err = fxdb.ConfigFromEnv()
		require.NoError(t, err, "a break alone is nothing")
		require.False(t, cfg.NamesDatabase())
	}
}

func TestALineBreakElsewhereIsRefusedByName(t *testing.T) {
	for _, name := range []string{"DB_HOST", "DB_NAME", "DB_USER", "DB_APPLICATION_NAME", "DB_TENANT_ROLE"} {
		setenv(t, map[string]string{name: "one\ntwo"})
		_, err := fxdb.ConfigFromEnv()
		require.ErrorContains(t, err, name+": holds a line break")
	}
	for _, name := range []string{"PGHOST", "PGPASSWORD", "PGUSER"} { // pgx reads them, as they are
		setenv(t, map[string]string{name: "one\n"})
		_, err := fxdb.ConfigFromEnv()
		require.ErrorContains(t, err, name+": ends in a line break")
	}
	setenv(t, nil)
	for setting, cfg := range map[string]fxdb.Config{
		"DATABASE_URL":        {URL: "postgres://u:p@h/d\n"},
		"DB_MIGRATE_URL":      {URL: "postgres://u:p@h/d", MigrateURL: "postgres://u:p@h/d\r\n"},
		"DB_HOST":             {Host: "h\n"},
		"DB_NAME":             {Name: "d\n"},
		"DB_USER":             {User: "u\n"},
		"DB_PASSWORD":         {Password: "p\n"},
		"DB_APPLICATION_NAME": {Host: "h", ApplicationName: "a\n"},
		"DB_TENANT_ROLE":      {Host: "h", TenantRole: "r\n"},
		"DB_PASSWORD_FILE":    {Host: "h", PasswordFile: "/f\n"},
	} {
		_, err := fxdb.Open(t.Context(), cfg)
		require.ErrorContains(t, err, setting+": ends in a line break")
	}
}

func TestALineBreakBehindAPasswordIsDropped(t *testing.T) {
	size.SkipShort(t)
	_, host := passwordServer(t, "clerk_of_line_breaks")
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(secret+"\r\n\n"), 0o600))
	setenv(t, nil)
	for name, c := range map[string]struct {
		cfg  fxdb.Config
		opts []fxdb.Option
	}{
		"of a file":   {cfg: fxdb.Config{PasswordFile: file}},
		"of a source": {opts: []fxdb.Option{fxdb.WithPasswordSource(func(context.Context) (string, error) { return secret + "\n", nil })}},
	} {
		c.cfg.Host, c.cfg.User, c.cfg.Name = host, "clerk_of_line_breaks", "postgres"
		db, err := fxdb.Open(t.Context(), c.cfg, c.opts...)
		require.NoError(t, err, name)
		require.NoError(t, db.Close(t.Context()))
	}
}

func TestAHostThatIsMoreThanAHostIsRefused(t *testing.T) {
	for host, want := range map[string]string{
		"localhost:5432": "set DB_PORT", "[::1]:5432": "set DB_PORT", "h1:1,h2:2": "set DB_PORT", "h1,h2:2": "set DB_PORT", "localhost:": "set DB_PORT",
		"postgres://u:s3cr@h/d": "set DATABASE_URL", "u:s3cr@h": "set DB_USER", "h/d": "set DB_NAME",
		"h": "", "h1,h2": "", "::1": "", "[::1]": "", "fe80::1": "", "/run/pg:1": "", "127.0.0.1": "", `C:\pg`: "",
	} {
		setenv(t, map[string]string{"DB_HOST": host})
		_, err := fxdb.ConfigFromEnv()
		if want == "" {
			require.NoError(t, err, host)
			continue
		}
		require.ErrorContains(t, err, "DB_HOST: ")
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "s3cr")
	}
}

func TestAllBadSettingsAreListedAtOnce(t *testing.T) {
	setenv(t, map[string]string{
		"DB_POOL_MAX": "many", "DB_POOL_MIN": "30", "DB_PORT": "0", "DB_SSLMODE": "sometimes", "DB_START": "later", "DB_HOST": "h:1", "DB_MIGRATE": "perhaps",
		"DB_LOCK_TIMEOUT_MS": "1s", "DB_DRAIN_TIMEOUT_MS": "0", "DB_SSLROOTCERT": "/does/not/exist", "DB_PASSWORD_FILE": "/does/not/exist",
		"DB_DEDICATED": "=3", "DB_MIGRATE_URL": "nonsense", "DB_APPLICATION_NAME": "one\ntwo",
	})
	_, err := fxdb.ConfigFromEnv()
	require.ErrorContains(t, err, "give milliseconds: 1000")
	var settings []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		setting, _, _ := strings.Cut(strings.TrimPrefix(line, "fxdb: "), ":")
		settings = append(settings, setting)
	}
	require.ElementsMatch(t, []string{
		"DB_POOL_MAX", "DB_PORT", "DB_SSLMODE", "DB_START", "DB_HOST", "DB_MIGRATE", "DB_LOCK_TIMEOUT_MS", "DB_DRAIN_TIMEOUT_MS",
		"DB_SSLROOTCERT", "DB_PASSWORD_FILE", "DB_DEDICATED", "DB_MIGRATE_URL", "DB_APPLICATION_NAME",
	}, settings, "what depends on a bad setting is none: DB_POOL_MIN")
	_, err = fxdb.Open(t.Context(), fxdb.Config{PoolMin: 3, PoolMax: 2, Start: "later", URL: "mysql://h/d"})
	for _, setting := range []string{"DB_POOL_MIN", "DB_START", "DATABASE_URL"} {
		require.ErrorContains(t, err, "fxdb: "+setting+": ", "in a literal too")
	}
}

func TestAMisspeltSettingIsWarnedOf(t *testing.T) {
	size.SkipShort(t)
	for variable, setting := range map[string]string{
		"DB_POOL_MX": "DB_POOL_MAX", "DB_POOLMAX": "DB_POOL_MAX", "DB_POOL_MAX_": "DB_POOL_MAX", "db_pool_max": "DB_POOL_MAX",
		"DB_STATEMENT_TIMEOUT": "DB_STATEMENT_TIMEOUT_MS", "DB_LOCK_TIMEOUT": "DB_LOCK_TIMEOUT_MS", "DB_SSL_MODE": "DB_SSLMODE",
		"DB_PASS": "DB_PASSWORD", "DB_PASSWD": "DB_PASSWORD", "DB_USERNAME": "DB_USER", "DB_HOSTNAME": "DB_HOST", "DB_HSOT": "DB_HOST",
		"DATABSE_URL": "DATABASE_URL", "DATABASE_URI": "DATABASE_URL", "DB_DEDICATE": "DB_DEDICATED", "DB_TENNANT_ROLE": "DB_TENANT_ROLE",
		"DB_URL": "DATABASE_URL", "POSTGRES_URL": "DATABASE_URL", "PG_URL": "DATABASE_URL", "DB_MAX_CONNS": "DB_POOL_MAX",
		"DB_POOL_MAX_CONNS": "DB_POOL_MAX", "POOL_MAX": "DB_POOL_MAX", "DB_MAX_IDLE_CONNS": "DB_POOL_MIN",
		"DB_TYPE": "", "DB_DRIVER": "", "DB_MODE": "", "DB_PORT_5432_TCP": "", "DB_HOST2": "", "DB_SERVICE_HOST": "", "DATADOG_URL": "", "DB_TEST": "", "OTHER": "",
	} {
		setenv(t, map[string]string{variable: "s3cret"})
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err, variable)
		core, logs := observer.New(zap.WarnLevel)
		cfg.Host, cfg.Port = "127.0.0.1", 1 // nobody is there
		_, err = fxdb.Open(t.Context(), cfg, fxdb.WithLogger(zap.New(core)))
		require.Error(t, err)
		logged := logs.FilterMessageSnippet("looks like a setting").FilterField(zap.String("variable", variable))
		if setting == "" {
			require.Zero(t, logged.Len(), variable)
			continue
		}
		require.Equal(t, 1, logged.FilterField(zap.String("setting", setting)).Len(), "%s: %v", variable, logs.All())
		require.NotContains(t, logged.All()[0].Message, "s3cret")
	}
}

func TestAnotherProgramsConnectionStringIsNoMisspelling(t *testing.T) {
	setenv(t, map[string]string{"DATABASE_URL": "postgres://h/d", "POSTGRES_URL": "postgres://other/d", "DB_MAX_CONNS": "3"})
	core, logs := observer.New(zap.WarnLevel)
	app := fx.New(fx.NopLogger, fxdb.Module, fx.Supply(zap.New(core)))
	require.NoError(t, app.Err())
	found := logs.FilterMessageSnippet("looks like a setting").All()
	require.Len(t, found, 1)
	require.Equal(t, "DB_MAX_CONNS", found[0].ContextMap()["variable"])
}

func TestServerIsAValueOfALimit(t *testing.T) {
	setenv(t, map[string]string{"DB_STATEMENT_TIMEOUT_MS": "server", "DB_LOCK_TIMEOUT_MS": "server", "DB_IDLE_IN_TX_TIMEOUT_MS": "server"})
	cfg, err := fxdb.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, []time.Duration{fxdb.LeftToServer, fxdb.LeftToServer, fxdb.LeftToServer}, []time.Duration{cfg.StatementTimeout, cfg.LockTimeout, cfg.IdleInTransactionTimeout})
	for _, name := range []string{"DB_CONNECTION_TIMEOUT_MS", "DB_MAX_LIFETIME_MS"} {
		setenv(t, map[string]string{name: "server"})
		_, err = fxdb.ConfigFromEnv()
		require.ErrorContains(t, err, name)
	}
	setenv(t, map[string]string{"DB_LOCK_TIMEOUT_MS": "sever"})
	_, err = fxdb.ConfigFromEnv()
	require.ErrorContains(t, err, "must be milliseconds, 0 (no limit) or server")
}
