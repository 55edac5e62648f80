package fxdb

import (
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connURL is a connection URL, split as libpq does: with several hosts, and without
// complaint about odd characters. net/url does neither.
type connURL struct {
	scheme, userinfo, hosts, path, query string
	hasUserinfo                          bool
}

func splitURL(s string) (u connURL, ok bool) {
	scheme, rest, found := strings.Cut(s, "://")
	if !found || (scheme != "postgres" && scheme != "postgresql") {
		return u, false
	}
	u.scheme = scheme
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		u.userinfo, rest, u.hasUserinfo = rest[:i], rest[i+1:], true
	}
	rest, u.query, _ = strings.Cut(rest, "?")
	u.hosts, u.path, _ = strings.Cut(rest, "/")
	return u, true
}

func (u connURL) params(each func(key, value string) string) string {
	pairs := strings.Split(u.query, "&")
	for i, pair := range pairs {
		rawKey, value, has := strings.Cut(pair, "=")
		key, err := url.PathUnescape(rawKey)
		if err != nil {
			key = rawKey
		}
		if key = strings.Trim(key, " "); has {
			pairs[i] = rawKey + "=" + each(key, value)
		}
	}
	return strings.Join(pairs, "&")
}

// redactURL shows a connection string without its password. redactURL shows nothing of a
// string that redactURL can't split with certainty.
func redactURL(s string) string {
	if s == "" {
		return ""
	}
	u, ok := splitURL(s)
	if !ok || strings.ContainsAny(u.hosts+u.path+u.query, "@") || strings.Contains(u.userinfo, "?") {
		return redacted
	}
	out := u.scheme + "://"
	if u.hasUserinfo {
		user, _, hasPassword := strings.Cut(u.userinfo, ":")
		out += user
		if hasPassword {
			out += ":" + redacted
		}
		out += "@"
	}
	out += u.hosts + "/" + u.path
	if u.query != "" {
		out += "?" + u.params(func(key, value string) string {
			if key == "password" || key == "sslpassword" {
				return redacted
			}
			return value
		})
	}
	return out
}

// settingsOf reads the settings of a connection string, by pgx's names. settingsOf is
// lenient, because pgx has the last word on malformed strings. pgx's own result does not
// show the string's settings: pgx fills in missing settings from the environment and the
// operating system.
func settingsOf(connString string) map[string]string {
	if u, isURL := splitURL(connString); isURL {
		return u.settings()
	}
	return keywords(connString)
}

// canonical returns pgx's name of a key.
func canonical(key string) string {
	if key == "dbname" {
		return "database"
	}
	return key
}

var portAtEnd = regexp.MustCompile(`:\d+(,|$)`)

func (u connURL) settings() map[string]string {
	said := make(map[string]string)
	put := func(key, raw string) {
		value, err := url.PathUnescape(strings.Trim(raw, " "))
		if err != nil {
			value = raw
		}
		said[canonical(key)] = value
	}
	user, password, _ := strings.Cut(u.userinfo, ":")
	for _, s := range []struct {
		key, value string
		given      bool
	}{
		{"user", user, user != ""},
		{"password", password, password != ""},
		{"host", u.hosts, u.hosts != "" && !strings.HasPrefix(u.hosts, ":")},
		{"port", u.hosts, portAtEnd.MatchString(u.hosts)},
		{"dbname", u.path, u.path != ""},
	} {
		if s.given {
			put(s.key, s.value)
		}
	}
	u.params(func(key, value string) string {
		if key == "ssl" && value == "true" { // JDBC's
			key, value = "sslmode", "require"
		}
		put(key, value)
		return value
	})
	return said
}

// keywords reads a string of keyword = value as libpq does: values in quotes, and
// characters after a backslash, are no keywords.
func keywords(s string) map[string]string {
	const space = " \t\n\r\v\f"
	said := make(map[string]string)
	for {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			return said
		}
		s = strings.TrimLeft(rest, space)
		quoted := strings.HasPrefix(s, "'")
		s = strings.TrimPrefix(s, "'")
		var value strings.Builder
		for ; s != ""; s = s[1:] {
			if quoted && s[0] == '\'' || !quoted && strings.IndexByte(space, s[0]) >= 0 {
				s = s[1:]
				break
			}
			if s[0] == '\\' {
				if s = s[1:]; s == "" {
					break
				}
			}
			value.WriteByte(s[0])
		}
		if key = canonical(strings.Trim(key, space)); key != "user" || value.Len() > 0 { // as pgx does
			said[key] = value.String()
		}
	}
}

// given reports whether the connection string itself sets key.
func given(connString, key string) bool {
	_, ok := settingsOf(connString)[canonical(key)]
	return ok
}

// with returns the connection string with one more setting.
func with(connString, key, value string) string {
	if _, isURL := splitURL(connString); !isURL {
		// The setting comes first: after a backslash the setting would be a part of the last value.
		return key + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "' " + connString
	}
	sep := "&"
	connString = strings.TrimRight(connString, "&")
	if u, _ := splitURL(connString); u.query == "" {
		sep = "?"
		connString = strings.TrimSuffix(connString, "?")
	}
	// libpq does not decode a plus sign.
	return connString + sep + key + "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// parseConnString parses without ever repeating the connection string, because pgx redacts
// passwords by best effort only.
func parseConnString(setting, s string) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(s)
	if err == nil {
		return pc, nil
	}
	if _, ok := splitURL(s); !ok && !strings.Contains(s, "=") {
		return nil, &ConfigError{Setting: setting, Reason: "is not a connection string: use postgres://user:password@host:5432/database"}
	}
	return nil, &ConfigError{Setting: setting, Reason: "can't be parsed: check host, port, sslmode and all parameters, and percent-encode reserved characters in the password"}
}

// poolConfig returns the configuration of pgxpool. c has its defaults and is valid.
func (c Config) poolConfig() (*pgxpool.Config, error) {
	pc, _, err := c.build()
	return pc, err
}

// build returns the configuration of pgxpool, and the parameters that yield to the server's own.
func (c Config) build() (pc *pgxpool.Config, yields []string, err error) {
	s, err := c.connString()
	if err != nil {
		return nil, nil, err
	}
	pc, err = parseConnString(c.connSetting(s), s)
	if err != nil {
		return nil, nil, err
	}
	cc := pc.ConnConfig

	if !given(c.URL, "pool_max_conns") {
		pc.MaxConns = int32(c.PoolMax)
	}
	if !given(c.URL, "pool_min_conns") {
		pc.MinConns = min(int32(c.PoolMin), pc.MaxConns)
	}
	if !given(c.URL, "pool_max_conn_idle_time") {
		pc.MaxConnIdleTime = c.IdleTimeout
	}
	if !given(c.URL, "pool_max_conn_lifetime") {
		pc.MaxConnLifetime = max(c.MaxLifetime, 0)
	}
	if !given(c.URL, "pool_max_conn_lifetime_jitter") {
		// pgxpool rounds the jitter of a connection down to whole seconds.
		pc.MaxConnLifetimeJitter = pc.MaxConnLifetime / 10
	}
	if !given(c.URL, "pool_health_check_period") {
		// Only the health check closes idle connections.
		pc.HealthCheckPeriod = min(max(pc.MaxConnIdleTime/2, 10*time.Millisecond), time.Minute)
	}
	if !given(c.URL, "pool_ping_timeout") {
		pc.PingTimeout = min(c.ConnectionTimeout, 5*time.Second)
	}
	c.setConnectTimeout(c.URL, cc)

	yields = c.setParams(cc.RuntimeParams)
	if c.pooled() {
		if err := c.forPooler(pc); err != nil {
			return nil, nil, err
		}
	}
	return pc, yields, nil
}

// migrateConfig returns the configuration of the migrations' connections.
func (c Config) migrateConfig() (*pgxpool.Config, error) {
	s, err := c.migrateString()
	if err != nil {
		return nil, err
	}
	pc, err := parseConnString("DB_MIGRATE_URL", s)
	if err != nil {
		return nil, err
	}
	c.setConnectTimeout(c.MigrateURL, pc.ConnConfig)
	if !given(c.MigrateURL, "application_name") {
		pc.ConnConfig.RuntimeParams["application_name"] = c.ApplicationName
	}
	return pc, nil
}

// connSetting names the settings that connString made s of.
func (c Config) connSetting(s string) string {
	switch {
	case c.URL != "":
		return "DATABASE_URL"
	case s != "":
		return "DB_HOST, DB_NAME, DB_USER, DB_SSLMODE"
	}
	return "PGHOST, PGPORT, PGSSLMODE, PGSERVICE"
}

// setConnectTimeout bounds the opening of a connection to a single host, unless somebody has set
// connect_timeout.
func (c Config) setConnectTimeout(connString string, cc *pgx.ConnConfig) {
	if !given(connString, "connect_timeout") && os.Getenv("PGCONNECT_TIMEOUT") == "" && cc.ConnectTimeout == 0 {
		cc.ConnectTimeout = connectTimeout(cc, c.ConnectionTimeout)
	}
}

// connectTimeout returns the time for opening a connection to a single host. The time leaves
// room for all hosts, or for another attempt, within the longest wait for a connection: a
// dead host does not refuse but keeps silent. The minimum is two seconds even for a
// shorter wait: the pool goes on opening when no waiter is left.
func connectTimeout(cc *pgx.ConnConfig, wait time.Duration) time.Duration {
	hosts := map[string]bool{net.JoinHostPort(cc.Host, strconv.Itoa(int(cc.Port))): true}
	for _, f := range cc.Fallbacks {
		hosts[net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))] = true
	}
	return max(wait/time.Duration(max(len(hosts), 2)), 2*time.Second)
}
