package fxdb_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

// linkOf is what a pool connects with, in one line.
func linkOf(pc *pgxpool.Config) string {
	cc := pc.ConnConfig
	at := []string{strings.Join([]string{cc.Host, portOf(cc.Port)}, "|")}
	for _, f := range cc.Fallbacks {
		at = append(at, strings.Join([]string{f.Host, portOf(f.Port)}, "|"))
	}
	return strings.Join(slices.Compact(at), ",") + " " + cc.User + " " + cc.Password + " " + cc.Database
}

// portOf is the port, or nothing for the default.
func portOf(n uint16) string { return strings.TrimSuffix(strconv.Itoa(int(n)), "5432") }

// A setting in whatever spelling is right, or an error that names the setting.
func TestASettingIsReadRightOrRefusedByName(t *testing.T) {
	size.SkipShort(t)
	folder := t.TempDir()
	service := filepath.Join(folder, "services")
	require.NoError(t, os.WriteFile(service, []byte("[app]\nhost=s\nport=7\nuser=su\npassword=sp\ndbname=sd\n"), 0o600))
	parts := func(more ...string) map[string]string {
		all := map[string]string{"DB_HOST": "h", "DB_USER": "u", "DB_PASSWORD": "p", "DB_NAME": "d"}
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		want string // the link, or "!" and the refused setting
	}{
		{"blanks around the host", parts("DB_HOST", " h\t"), "h| u p d"},
		{"blanks around the user", parts("DB_USER", "\tu "), "h| u p d"},
		{"blanks around the name", parts("DB_NAME", " d\r\n"), "h| u p d"},
		{"blanks of a password", parts("DB_PASSWORD", " p \n"), "h| u  p  d"},
		{"blanks around the port", parts("DB_PORT", " 9 "), "h|9 u p d"},
		{"blanks around the mode", parts("DB_SSLMODE", " disable "), "h| u p d"},
		{"blanks alone", parts("DB_PORT", " ", "DB_POOL_MAX", "\t", "DB_START", " ", "DB_MIGRATE", " ", "DB_TENANT_ROLE", " "), "h| u p d"},
		{"blanks around a number", parts("DB_POOL_MAX", " 5\t", "DB_LOCK_TIMEOUT_MS", " server ", "DB_MIGRATE", " true ", "DB_SHARING", "on "), "h| u p d"},
		{"a blank in the host", parts("DB_HOST", "h 1"), "!DB_HOST"},
		{"blanks between hosts", parts("DB_HOST", "h1, h2"), "!DB_HOST"},
		{"a tab in the host", parts("DB_HOST", "h\t1"), "!DB_HOST"},
		{"a line break in the user", parts("DB_USER", "u\nv"), "!DB_USER"},
		{"a carriage return in the name", parts("DB_NAME", "d\re"), "!DB_NAME"},
		{"blanks in user and name", parts("DB_USER", "u v", "DB_NAME", "d e"), "h| u v p d e"},
		{"a quoted host", parts("DB_HOST", `"h"`), "!DB_HOST"},
		{"a quoted user", parts("DB_USER", `'u'`), "!DB_USER"},
		{"a quoted name", parts("DB_NAME", `"d"`), "!DB_NAME"},
		{"a quoted role", parts("DB_TENANT_ROLE", `"r"`), "!DB_TENANT_ROLE"},
		{"a quoted application", parts("DB_APPLICATION_NAME", `"a"`), "!DB_APPLICATION_NAME"},
		{"a quoted password", parts("DB_PASSWORD", `"p"`), `h| u "p" d`},
		{"a quoted file", parts("DB_PASSWORD", "", "DB_PASSWORD_FILE", `"`+service+`"`), "!DB_PASSWORD_FILE"},
		{"a quoted number", parts("DB_POOL_MAX", `"5"`), "!DB_POOL_MAX"},
		{"a quoted mode", parts("DB_SSLMODE", `"require"`), "!DB_SSLMODE"},
		{"a quoted word", parts("DB_START", `'wait'`), "!DB_START"},
		{"a quoted truth", parts("DB_MIGRATE", `"true"`), "!DB_MIGRATE"},
		{"quotes inside", parts("DB_USER", `u"v`, "DB_NAME", `d'e`, "DB_PASSWORD", `p'"\`), `h| u"v p'"\ d'e`},
		{"percent signs", parts("DB_USER", "u%41", "DB_NAME", "d%", "DB_PASSWORD", "p%zz"), "h| u%41 p%zz d%"},
		{"a zone", parts("DB_HOST", "fe80::1%eth0"), "fe80::1%eth0| u p d"},
		{"IPv6", parts("DB_HOST", "::1", "DB_PORT", "9"), "::1|9 u p d"},
		{"IPv6 in brackets", parts("DB_HOST", " [::1] "), "::1| u p d"},
		{"a folder", parts("DB_HOST", "/run/p g", "DB_PORT", "9"), "/run/p g|9 u p d"},
		{"an abstract socket", parts("DB_HOST", "@pg"), "@pg| u p d"},
		{"several hosts", parts("DB_HOST", "h1,h2", "DB_PORT", "9"), "h1|9,h2|9 u p d"},
		{"several hosts with ports", parts("DB_HOST", "h1:1,h2:2"), "!DB_HOST"},

		{"blanks around a URL", map[string]string{"DATABASE_URL": " postgres://u:p@h/d\t\r\n"}, "h| u p d"},
		{"blanks around keywords", map[string]string{"DATABASE_URL": "\n host=h user=u password=p dbname=d "}, "h| u p d"},
		{"a blank at a password's end", map[string]string{"DATABASE_URL": `host=h user=u dbname=d password=p\ `}, "h| u p  d"},
		{"a quoted URL", map[string]string{"DATABASE_URL": `"postgres://u:p@h/d"`}, "!DATABASE_URL"},
		{"keywords in quotes", map[string]string{"DATABASE_URL": `'host=h user=u'`}, "!DATABASE_URL"},
		{"a bad escape", map[string]string{"DATABASE_URL": "postgres://u:p%zz@h/d"}, "!DATABASE_URL"},
		{"a URL of several hosts", map[string]string{"DATABASE_URL": "postgres://u:p@h1:1,[::1]:2,h3/d"}, "h1|1,::1|2,h3| u p d"},
		{"several hosts and ports by name", map[string]string{"DATABASE_URL": "host=h1,h2 port=1,2 user=u password=p dbname=d"}, "h1|1,h2|2 u p d"},
		{"too many ports", map[string]string{"DATABASE_URL": "host=h1,h2 port=1,2,3 user=u password=p dbname=d"}, "!DATABASE_URL"},
		{"a service", map[string]string{"DATABASE_URL": "service=app servicefile=" + service}, "s|7 su sp sd"},
		{"a service and parts", map[string]string{"DATABASE_URL": "service=app servicefile=" + service, "DB_NAME": "d"}, "s|7 su sp d"},
		{"no such service", map[string]string{"DATABASE_URL": "service=missing servicefile=" + service}, "!DATABASE_URL"},
		{"a blank migrate URL", parts("DB_MIGRATE_URL", " "), "h| u p d"},
		{"a quoted migrate URL", parts("DB_MIGRATE_URL", `"postgres://o@h/d"`), "!DB_MIGRATE_URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			setenv(t, c.env)
			cfg, err := fxdb.ConfigFromEnv()
			if setting, refused := strings.CutPrefix(c.want, "!"); refused {
				var invalid *fxdb.ConfigError
				require.ErrorAs(t, err, &invalid)
				require.Equal(t, setting, invalid.Setting)
				require.NotContains(t, err.Error(), "p%zz")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, linkOf(fxdb.ConnConfig(t, cfg)))
		})
	}
}

func TestALiteralWithANulByteIsRefusedByName(t *testing.T) {
	for setting, cfg := range map[string]fxdb.Config{
		"DB_HOST": {Host: "h\x00"}, "DB_USER": {User: "u\x00"}, "DB_NAME": {Name: "\x00d"}, "DB_PASSWORD": {Password: "p\x00"},
		"DB_TENANT_ROLE": {TenantRole: "r\x00"}, "DB_APPLICATION_NAME": {ApplicationName: "a\x00"}, "DATABASE_URL": {URL: "postgres://h/\x00"},
		"DB_MIGRATE_URL": {MigrateURL: "postgres://h/\x00"},
	} {
		_, err := fxdb.Open(t.Context(), cfg)
		var invalid *fxdb.ConfigError
		require.ErrorAs(t, err, &invalid, setting)
		require.Equal(t, setting, invalid.Setting)
	}
}

// The migrations run on the pool's server, unless DB_MIGRATE_URL names a server.
func TestTheMigrationsLoginIsOnThePoolsServer(t *testing.T) {
	for migrate, want := range map[string]string{
		"postgres://owner:pw@/":                  "h1|1,h2|2 owner pw d",
		"user=owner password=pw":                 "h1|1,h2|2 owner pw d",
		"postgres://owner:pw@/other":             "h1|1,h2|2 owner pw other",
		"user=owner password=pw port=7":          "h1|7,h2|7 owner pw d",
		"postgres://owner:pw@m":                  "m| owner pw d",
		"postgres://owner:pw@m:7/other":          "m|7 owner pw other",
		"postgres://owner:pw@/d?host=/run/pg":    "/run/pg| owner pw d",
		"host=m1,m2 user=owner password=pw":      "m1|,m2| owner pw d",
		"postgres://owner:pw@/d?sslmode=disable": "h1|1,h2|2 owner pw d",
	} {
		for name, env := range map[string]map[string]string{
			"a URL":   {"DATABASE_URL": "postgres://u:p@h1:1,h2:2/d?sslmode=prefer"},
			"libpq's": {"PGHOST": "h1,h2", "PGPORT": "1,2", "PGUSER": "u", "PGPASSWORD": "p", "PGDATABASE": "d"},
		} {
			if name == "libpq's" && !strings.HasPrefix(want, "h1|1") {
				continue // PGPORT counts, as for pgx
			}
			env["DB_MIGRATE_URL"] = migrate
			setenv(t, env)
			cfg, err := fxdb.ConfigFromEnv()
			require.NoError(t, err, migrate)
			require.Equal(t, want, linkOf(fxdb.MigrateConfig(t, cfg)), "%s beside %s", migrate, name)
		}
	}
	setenv(t, map[string]string{"DB_HOST": "h", "DB_USER": "u", "DB_NAME": "d", "DB_MIGRATE_URL": "user=owner"})
	cfg, err := fxdb.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, "h| owner  d", linkOf(fxdb.MigrateConfig(t, cfg)))
}

// The variables of libpq belong to Module's pool: a named pool takes none of them.
func TestANamedPoolTakesNothingOfModulesServer(t *testing.T) {
	size.SkipShort(t)
	libpqs := map[string]string{
		"PGHOST": "main", "PGPORT": "6432", "PGUSER": "mu", "PGPASSWORD": "ms3cret", "PGDATABASE": "md", "PGSSLMODE": "require",
	}
	folder := t.TempDir()
	services, passwords := filepath.Join(folder, "services"), filepath.Join(folder, "passwords")
	require.NoError(t, os.WriteFile(services, []byte("[whole]\nhost=r\nport=7\nuser=su\npassword=sp\ndbname=sd\n[login]\nhost=r\nuser=su\ndbname=sd\n[server]\nhost=r\n"), 0o600))
	require.NoError(t, os.WriteFile(passwords, []byte("r:*:*:*:filed\nmain:*:*:*:mains\n"), 0o600))
	service := func(name string) string { return "servicefile=" + services + " service=" + name }
	for _, c := range []struct {
		name, variable, value, want string
	}{
		{"a service", "REPORTING_DATABASE_URL", service("whole"), "r|7 su sp sd"},
		{"a service by a URL", "REPORTING_DATABASE_URL", "postgres:///?service=whole&servicefile=" + services, "r|7 su sp sd"},
		{"a service without a password", "REPORTING_DATABASE_URL", service("login"), "!REPORTING_DATABASE_URL PGPASSWORD"},
		{"a service with one beside it", "REPORTING_DATABASE_URL", service("login") + " password=p", "r| su p sd"},
		{"a service without a user", "REPORTING_DATABASE_URL", service("server") + " password=p dbname=d", "!REPORTING_DATABASE_URL PGUSER"},
		{"no such service", "REPORTING_DATABASE_URL", service("missing"), "!REPORTING_DATABASE_URL"},
		{"a migration's service", "REPORTING_DB_MIGRATE_URL", service("login"), "!REPORTING_DB_MIGRATE_URL PGPASSWORD"},
		{"a passfile", "REPORTING_DATABASE_URL", "postgres://u@r/d?password=&passfile=" + passwords, "r| u filed d"},
		{"a passfile of a service", "REPORTING_DATABASE_URL", service("login") + " password='' passfile=" + passwords, "r| su filed sd"},
		{"a passfile for a different host", "REPORTING_DATABASE_URL", "postgres://u@x/d?password=&passfile=" + passwords, "x| u  d"},
		{"the whole URL", "REPORTING_DATABASE_URL", "postgres://u:p@r/d", "r| u p d"},
		{"no password", "REPORTING_DATABASE_URL", "postgres://u@r/d", "!REPORTING_DATABASE_URL PGPASSWORD"},
		{"none wanted", "REPORTING_DATABASE_URL", "postgres://u@r/d?password=", "r| u  d"},
		{"no user", "REPORTING_DATABASE_URL", "postgres://r/d?password=p", "!REPORTING_DATABASE_URL PGUSER"},
		{"no database", "REPORTING_DATABASE_URL", "host=r user=u password=p", "!REPORTING_DATABASE_URL PGDATABASE"},
		{"no host", "REPORTING_DATABASE_URL", "user=u password=p dbname=d", "localhost| u p d"},
		{"a migration's password", "REPORTING_DB_MIGRATE_URL", "user=owner", "!REPORTING_DB_MIGRATE_URL PGPASSWORD"},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := map[string]string{"REPORTING_DATABASE_URL": "postgres://u:p@r/d"}
			for k, v := range libpqs {
				env[k] = v
			}
			env[c.variable] = c.value
			setenv(t, env)
			cfg, err := fxdb.ConfigFromEnvNamed("reporting")
			if refused, ok := strings.CutPrefix(c.want, "!"); ok {
				setting, variable, _ := strings.Cut(refused, " ")
				require.ErrorContains(t, err, setting+": ")
				require.ErrorContains(t, err, variable)
				require.NotContains(t, err.Error(), "ms3cret")
				return
			}
			require.NoError(t, err)
			pc := fxdb.ConnConfig(t, cfg)
			require.Equal(t, c.want, linkOf(pc))
			require.NotEmpty(t, pc.ConnConfig.Fallbacks, "PGSSLMODE of the other server counts")
		})
	}
	setenv(t, map[string]string{"REPORTING_DATABASE_URL": "postgres://u:p@r/d", "PGSERVICE": "main"})
	_, err := fxdb.ConfigFromEnvNamed("reporting")
	require.ErrorContains(t, err, "PGSERVICE: ")
}
