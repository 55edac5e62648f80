package fxdb_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

// target is where and as whom a pool connects, and how closely the link is checked.
type target struct {
	host, database, user, password string
	port                           uint16
	tls, verified, inClear         bool // inClear: TLS is tried, and a link without it is taken
}

func targetOf(pc *pgxpool.Config) target {
	cc := pc.ConnConfig
	t := target{
		host: cc.Host, port: cc.Port, database: cc.Database, user: cc.User, password: cc.Password,
		tls: cc.TLSConfig != nil, verified: cc.TLSConfig != nil && !cc.TLSConfig.InsecureSkipVerify,
	}
	for _, f := range cc.Fallbacks {
		t.inClear = t.inClear || f.TLSConfig == nil
	}
	return t
}

// Without a setting of onepool's about the connection the measure is pgx itself.
func TestLibpqsVariablesAreTakenWhole(t *testing.T) {
	service := filepath.Join(t.TempDir(), "services")
	require.NoError(t, os.WriteFile(service, []byte("[orders]\nhost=service.example\nport=7000\ndbname=orders\nuser=clerk\nsslmode=verify-full\n"), 0o600))
	for name, env := range map[string]map[string]string{
		"host and sslmode":        {"PGHOST": "db.example", "PGSSLMODE": "verify-full", "PGUSER": "u", "PGPASSWORD": "p", "PGDATABASE": "d"},
		"host and port":           {"PGHOST": "db.example", "PGPORT": "6432"},
		"port alone":              {"PGPORT": "6432"},
		"user and password alone": {"PGUSER": "u", "PGPASSWORD": "p"},
		"sslmode alone":           {"PGSSLMODE": "require", "PGHOST": "127.0.0.1"},
		"several hosts":           {"PGHOST": "h1,h2", "PGPORT": "1,2"},
		"a socket":                {"PGHOST": "/run/pg", "PGDATABASE": "d"},
		"a service":               {"PGSERVICE": "orders", "PGSERVICEFILE": service, "PGPASSWORD": "p"},
		"settings of the pool":    {"PGHOST": "db.example", "PGSSLMODE": "verify-full", "DB_POOL_MAX": "3", "DB_START": "wait", "DB_APPLICATION_NAME": "mine"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, env)
			control, err := pgxpool.ParseConfig("")
			require.NoError(t, err)
			cfg, err := fxdb.ConfigFromEnv()
			require.NoError(t, err)
			pc := fxdb.ConnConfig(t, cfg)
			require.Equal(t, targetOf(control), targetOf(pc))
			require.Len(t, pc.ConnConfig.Fallbacks, len(control.ConnConfig.Fallbacks))
			require.Equal(t, targetOf(control), targetOf(fxdb.ConnConfig(t, fxdb.Config{})), "in a literal too")
		})
	}
}

func TestLibpqsVariablesThatNameADatabase(t *testing.T) {
	for name, want := range map[string]bool{
		"PGHOST": true, "PGPORT": true, "PGDATABASE": true, "PGSERVICE": true,
		"DB_HOST": true, "DB_PORT": true, "DB_NAME": true, "DB_USER": true, "DATABASE_URL": true,
		"PGSSLMODE": false, "PGAPPNAME": false, "PGTZ": false, "DB_POOL_MAX": false, "DB_SSLMODE": false,
	} {
		t.Run(name, func(t *testing.T) {
			value := map[string]string{"PGPORT": "5433", "DB_PORT": "5433", "DATABASE_URL": "postgres://h/d", "PGSSLMODE": "disable", "DB_SSLMODE": "disable", "DB_POOL_MAX": "3"}[name]
			if value == "" {
				value = "x"
			}
			env := map[string]string{name: value}
			if name == "PGSERVICE" {
				file := filepath.Join(t.TempDir(), "services")
				require.NoError(t, os.WriteFile(file, []byte("[x]\nhost=h\n"), 0o600))
				env["PGSERVICEFILE"] = file
			}
			setenv(t, env)
			cfg, err := fxdb.ConfigFromEnv()
			require.NoError(t, err)
			require.Equal(t, want, cfg.NamesDatabase())
		})
	}
}

// What the parts leave out must not come from variables that were meant for another
// server: a password would go there, or in clear.
func TestPartsDoNotMixWithLibpqsVariables(t *testing.T) {
	size.SkipShort(t)
	parts := map[string]string{"DB_HOST": "db.example", "DB_PORT": "5433", "DB_NAME": "d", "DB_USER": "u", "DB_PASSWORD": "p", "DB_SSLMODE": "require", "DB_SSLROOTCERT": "system"}
	all := map[string]string{"PGHOST": "other", "PGPORT": "1", "PGDATABASE": "other", "PGUSER": "other", "PGPASSWORD": "other", "PGSSLMODE": "disable", "PGSSLROOTCERT": "/does/not/exist"}
	t.Run("all parts", func(t *testing.T) {
		setenv(t, parts)
		for name, value := range all {
			t.Setenv(name, value)
		}
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err)
		require.Equal(t, target{host: "db.example", port: 5433, database: "d", user: "u", password: "p", tls: true, verified: true}, targetOf(fxdb.ConnConfig(t, cfg)))
	})
	for part, variable := range map[string]string{
		"DB_HOST": "PGHOST", "DB_PORT": "PGPORT", "DB_NAME": "PGDATABASE", "DB_USER": "PGUSER", "DB_PASSWORD": "PGPASSWORD", "DB_SSLMODE": "PGSSLMODE", "DB_SSLROOTCERT": "PGSSLROOTCERT",
	} {
		t.Run(part+" left to "+variable, func(t *testing.T) {
			setenv(t, parts)
			t.Setenv(part, "")
			t.Setenv(variable, all[variable])
			_, err := fxdb.ConfigFromEnv()
			var configErr *fxdb.ConfigError
			require.ErrorAs(t, err, &configErr)
			require.Equal(t, part, configErr.Setting)
			require.ErrorContains(t, err, variable)
			require.NotContains(t, err.Error(), "other", "a value is no part of the error")
		})
	}
	t.Run("in a literal", func(t *testing.T) {
		setenv(t, map[string]string{"PGHOST": "other"})
		_, err := fxdb.Open(t.Context(), fxdb.Config{Name: "d", Password: "p"})
		require.ErrorContains(t, err, "DB_HOST: is not set, but PGHOST is, and so are DB_NAME, DB_PASSWORD")
	})
	t.Run("a service", func(t *testing.T) {
		setenv(t, map[string]string{"DB_HOST": "db.example", "PGSERVICE": "orders"})
		_, err := fxdb.ConfigFromEnv()
		require.ErrorContains(t, err, "PGSERVICE")
	})
	t.Run("the same value", func(t *testing.T) {
		setenv(t, map[string]string{"DB_NAME": "d", "PGHOST": "localhost", "PGPORT": "5432", "PGSSLMODE": "prefer"})
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err)
		require.Equal(t, "localhost", fxdb.ConnConfig(t, cfg).ConnConfig.Host)
	})
	t.Run("a file with the password", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "password")
		require.NoError(t, os.WriteFile(file, []byte("p"), 0o600))
		setenv(t, map[string]string{"DB_HOST": "db.example", "DB_PASSWORD_FILE": file, "PGPASSWORD": "other"})
		_, err := fxdb.ConfigFromEnv()
		require.NoError(t, err)
	})
}

func TestLibpqsVariablesFillWhatAURLLeavesOut(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want target
	}{
		"a URL without a host": {
			map[string]string{"DATABASE_URL": "postgres:///d", "PGHOST": "db.example", "PGPORT": "7", "PGUSER": "u", "PGPASSWORD": "p", "PGSSLMODE": "verify-full"},
			target{host: "db.example", port: 7, database: "d", user: "u", password: "p", tls: true, verified: true},
		},
		"a part comes before a variable": {
			map[string]string{"DATABASE_URL": "postgres://h/d", "DB_PORT": "5432", "PGPORT": "7", "DB_USER": "u", "PGUSER": "x", "DB_SSLMODE": "prefer", "PGSSLMODE": "disable"},
			target{host: "h", port: 5432, database: "d", user: "u", tls: true, inClear: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, c.env)
			cfg, err := fxdb.ConfigFromEnv()
			require.NoError(t, err)
			require.Equal(t, c.want, targetOf(fxdb.ConnConfig(t, cfg)))
		})
	}
}

// Defaults are no settings: what libpq's variables say of the session stays.
func TestDefaultsDoNotOverrideLibpqsVariables(t *testing.T) {
	service := filepath.Join(t.TempDir(), "services")
	require.NoError(t, os.WriteFile(service, []byte("[orders]\nhost=h\napplication_name=served\nlock_timeout=7\nconnect_timeout=4\n"), 0o600))
	for name, c := range map[string]struct {
		env                              map[string]string
		application, lock, statement     string
		connect                          int
		applicationIsLeft, statementLeft bool
	}{
		"nothing":            {map[string]string{}, filepath.Base(os.Args[0]), "10000", "30000", 5, false, false},
		"variables":          {map[string]string{"PGAPPNAME": "theirs", "PGCONNECT_TIMEOUT": "3"}, "theirs", "10000", "30000", 3, false, false},
		"settings":           {map[string]string{"PGAPPNAME": "theirs", "DB_APPLICATION_NAME": "ours"}, "ours", "10000", "30000", 5, false, false},
		"a service":          {map[string]string{"PGSERVICE": "orders", "PGSERVICEFILE": service}, "served", "7", "30000", 4, false, false},
		"settings over it":   {map[string]string{"PGSERVICE": "orders", "PGSERVICEFILE": service, "DB_LOCK_TIMEOUT_MS": "9"}, "served", "9", "30000", 4, false, false},
		"options":            {map[string]string{"PGOPTIONS": "-c statement_timeout=5s --application-name=opted"}, "", "10000", "", 5, true, true},
		"settings over -c":   {map[string]string{"PGOPTIONS": "-cstatement_timeout=5s", "DB_STATEMENT_TIMEOUT_MS": "9"}, filepath.Base(os.Args[0]), "10000", "9", 5, false, false},
		"options of a URL":   {map[string]string{"DATABASE_URL": "postgres://h/d?options=-c%20statement_timeout%3D5s", "DB_STATEMENT_TIMEOUT_MS": "9"}, filepath.Base(os.Args[0]), "10000", "", 5, false, true},
		"another spelling":   {map[string]string{"DATABASE_URL": "postgres://h/d?Lock_Timeout=4", "DB_LOCK_TIMEOUT_MS": "9"}, filepath.Base(os.Args[0]), "4", "30000", 5, false, false},
		"left to the server": {map[string]string{"DB_STATEMENT_TIMEOUT_MS": "server"}, filepath.Base(os.Args[0]), "10000", "", 5, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, c.env)
			cfg, err := fxdb.ConfigFromEnv()
			require.NoError(t, err)
			cc := fxdb.ConnConfig(t, cfg).ConnConfig
			_, has := cc.RuntimeParams["application_name"]
			require.Equal(t, c.applicationIsLeft, !has)
			_, has = cc.RuntimeParams["statement_timeout"]
			require.Equal(t, c.statementLeft, !has)
			require.Equal(t, c.application, cc.RuntimeParams["application_name"])
			require.Equal(t, c.lock, cc.RuntimeParams["lock_timeout"])
			require.Equal(t, c.statement, cc.RuntimeParams["statement_timeout"])
			require.Equal(t, time.Duration(c.connect)*time.Second, cc.ConnectTimeout)
		})
	}
}

// What stands in a value is no keyword, in either form of a connection string.
func TestAKeywordIsNotFoundInsideAValue(t *testing.T) {
	for name, c := range map[string]struct{ url, database, user, password string }{
		"in a quoted password":    {`host=h password='x dbname=y user=z' `, "d", "u", "x dbname=y user=z"},
		"behind an escaped quote": {`host=h password='it\'s dbname=y'`, "d", "u", "it's dbname=y"},
		"behind an escaped space": {`host=h password=a\ dbname=y`, "d", "u", "a dbname=y"},
		"an unquoted value":       {`host=h password=dbname=y`, "d", "u", "dbname=y"},
		"a backslash at the end":  {`host=h password=p\`, "d", "u", "p"},
		"several lines":           {"host=h\n\tpassword = p\r\n", "d", "u", "p"},
		"by its other name":       {`host=h database=theirs`, "theirs", "u", "p"},
		"an empty user":           {`host=h user=''`, "d", "u", "p"},
		"in a URL":                {`postgres://h?password=x%20dbname%3Dy`, "d", "u", "x dbname=y"},
		"in a URL's option":       {`postgres://h?options=-c%20geqo%3Doff%20dbname`, "d", "u", "p"},
		"a URL's other name":      {`postgres://h?database=theirs`, "theirs", "u", "p"},
		"a URL's key is escaped":  {`postgres://h?db%6Eame=theirs`, "theirs", "u", "p"},
		"a URL with no password":  {`postgres://them:@h`, "d", "them", "p"},
		"a URL that ends in an &": {`postgres://h?sslmode=disable&`, "d", "u", "p"},
		"a URL that ends in a ?":  {`postgres://h?`, "d", "u", "p"},
		"keywords with a ://":     {`host=h application_name=postgres://x?dbname=y`, "d", "u", "p"},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, map[string]string{"DATABASE_URL": c.url, "DB_NAME": "d", "DB_USER": "u", "DB_PASSWORD": "p"})
			cfg, err := fxdb.ConfigFromEnv()
			require.NoError(t, err)
			cc := fxdb.ConnConfig(t, cfg).ConnConfig
			require.Equal(t, []string{"h", c.database, c.user, c.password}, []string{cc.Host, cc.Database, cc.User, cc.Password})
		})
	}
	t.Run("ssl=true is an sslmode", func(t *testing.T) {
		setenv(t, map[string]string{"DATABASE_URL": "postgres://h/d?ssl=true", "DB_SSLMODE": "disable"})
		cfg, err := fxdb.ConfigFromEnv()
		require.NoError(t, err)
		require.NotNil(t, fxdb.ConnConfig(t, cfg).ConnConfig.TLSConfig)
	})
}

func TestTheMigrationsLinkIsAsStrictAsThePools(t *testing.T) {
	strict, plain := target{tls: true, verified: true}, target{tls: true, inClear: true}
	for name, c := range map[string]struct {
		env  map[string]string
		want target
	}{
		"a setting":               {map[string]string{"DB_SSLMODE": "verify-full", "DB_MIGRATE_URL": "postgres://h/d"}, strict},
		"a setting, with a URL":   {map[string]string{"DB_SSLMODE": "verify-full", "DATABASE_URL": "postgres://h/d", "DB_MIGRATE_URL": "postgres://h/d"}, strict},
		"a setting, and keywords": {map[string]string{"DB_SSLMODE": "verify-full", "DB_MIGRATE_URL": "host=h password='sslmode=disable '"}, strict},
		"the certificate":         {map[string]string{"DB_SSLROOTCERT": "system", "DB_MIGRATE_URL": "postgres://h/d"}, strict},
		"the URL's own":           {map[string]string{"DB_SSLMODE": "verify-full", "DB_MIGRATE_URL": "postgres://h/d?sslmode=disable"}, target{}},
		"DATABASE_URL's":          {map[string]string{"DATABASE_URL": "postgres://h/d?sslmode=verify-full", "DB_MIGRATE_URL": "postgres://h/d"}, strict},
		"DATABASE_URL's, another": {map[string]string{"DATABASE_URL": "postgres://h/d?sslmode=verify-full", "DB_MIGRATE_URL": "postgres://h/d?sslmode=prefer"}, plain},
		"DATABASE_URL's, weaker":  {map[string]string{"DATABASE_URL": "postgres://h/d?sslmode=disable", "DB_MIGRATE_URL": "postgres://h/d"}, plain},
		"libpq's variable":        {map[string]string{"PGSSLMODE": "verify-full", "PGHOST": "h", "DB_MIGRATE_URL": "postgres://h/d"}, strict},
		"nothing":                 {map[string]string{"DB_MIGRATE_URL": "postgres://h/d"}, plain},
		"DB_SSL":                  {map[string]string{"DB_SSL": "true", "DB_MIGRATE_URL": "postgres://h/d"}, target{tls: true}},
	} {
		t.Run(name, func(t *testing.T) {
			setenv(t, c.env)
			cfg, err := fxdb.ConfigFromEnv()
			require.NoError(t, err)
			got := targetOf(fxdb.MigrateConfig(t, cfg))
			require.Equal(t, c.want, target{tls: got.tls, verified: got.verified, inClear: got.inClear})
		})
	}
}
