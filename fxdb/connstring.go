package fxdb

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// connURL is a connection URL taken apart as libpq does it, which is not as
// net/url does it: several hosts, and no complaint about odd characters.
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
		if has {
			pairs[i] = rawKey + "=" + each(key, value)
		}
	}
	return strings.Join(pairs, "&")
}

// redactURL shows a connection string without its password. What can't be taken
// apart with certainty is not shown at all.
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

// given reports whether the connection string itself says key, by libpq's name
// of it. pgx fills what is missing from the environment and the operating
// system, so it can't be told from the parsed result.
func given(connString, key string) bool {
	u, isURL := splitURL(connString)
	if !isURL {
		return regexp.MustCompile(`(^|\s)` + key + `\s*=`).MatchString(connString)
	}
	found := false
	u.params(func(k, v string) string {
		found = found || k == key
		return v
	})
	if found {
		return true
	}
	user, _, hasPassword := strings.Cut(u.userinfo, ":")
	switch key {
	case "host":
		return u.hosts != "" && !strings.HasPrefix(u.hosts, ":")
	case "port":
		return regexp.MustCompile(`:\d+(,|$)`).MatchString(u.hosts)
	case "dbname":
		return u.path != ""
	case "user":
		return user != ""
	case "password":
		return hasPassword
	}
	return false
}

// with returns the connection string with one more setting.
func with(connString, key, value string) string {
	u, isURL := splitURL(connString)
	if !isURL {
		return connString + " " + key + "='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value) + "'"
	}
	sep := "&"
	if u.query == "" {
		sep = "?"
		connString = strings.TrimSuffix(connString, "?")
	}
	// libpq takes a plus sign for what it is.
	return connString + sep + key + "=" + strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
}

// connString is URL with what it leaves out filled in from the other fields.
func (c Config) connString() string {
	s := c.URL
	host, port, sslmode := c.Host, strconv.Itoa(c.Port), c.SSLMode
	if s == "" {
		s = "postgres://"
	} else {
		// Defaults are not parts that somebody named: libpq's own count then.
		if c.hostByDefault {
			host = ""
		}
		if c.Port == 5432 {
			port = ""
		}
		if c.SSLMode == "prefer" {
			sslmode = ""
		}
	}
	for _, part := range []struct{ key, value string }{
		{"host", strings.Trim(host, "[]")}, {"port", port}, {"dbname", c.Name}, {"user", c.User}, {"password", c.Password},
		{"sslmode", sslmode}, {"sslrootcert", c.SSLRootCert},
	} {
		if part.value != "" && !given(s, part.key) {
			s = with(s, part.key, part.value)
		}
	}
	return s
}

// parseConnString parses without ever repeating the connection string: pgx
// redacts passwords by best effort only.
func parseConnString(setting, s string) (*pgxpool.Config, error) {
	pc, err := pgxpool.ParseConfig(s)
	if err == nil {
		return pc, nil
	}
	if _, ok := splitURL(s); !ok && !strings.Contains(s, "=") {
		return nil, &ConfigError{setting, "is not a connection string: use postgres://user:password@host:5432/database"}
	}
	return nil, &ConfigError{setting, "can't be parsed: check host, port, sslmode and the other parameters, and percent-encode reserved characters in the password"}
}

// poolConfig is what pgxpool is built from. c has its defaults and is valid.
func (c Config) poolConfig() (*pgxpool.Config, error) {
	setting := "DATABASE_URL"
	if c.URL == "" {
		setting = "DB_HOST, DB_NAME, DB_USER, DB_SSLMODE"
	}
	pc, err := parseConnString(setting, c.connString())
	if err != nil {
		return nil, err
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
		// Idle connections are only closed by this check.
		pc.HealthCheckPeriod = min(max(pc.MaxConnIdleTime/2, 10*time.Millisecond), time.Minute)
	}
	if !given(c.URL, "pool_ping_timeout") {
		pc.PingTimeout = min(c.ConnectionTimeout, 5*time.Second)
	}
	if !given(c.URL, "connect_timeout") {
		cc.ConnectTimeout = connectTimeout(cc, c.ConnectionTimeout)
	}

	for name, value := range map[string]string{
		"application_name":                    c.ApplicationName,
		"statement_timeout":                   milliseconds(c.StatementTimeout),
		"lock_timeout":                        milliseconds(c.LockTimeout),
		"idle_in_transaction_session_timeout": milliseconds(c.IdleInTransactionTimeout),
	} {
		if !given(c.URL, name) {
			cc.RuntimeParams[name] = value
		}
	}
	if c.pooled() {
		if err := c.forPooler(pc); err != nil {
			return nil, err
		}
	}
	return pc, nil
}

// connectTimeout is how long opening a connection may take on one of the hosts. It
// leaves time for all of them, or for another attempt, within the longest wait for a
// connection: a host that is dead does not refuse, it keeps silent. Two seconds it may
// take however short the wait: the pool goes on when nobody waits any more.
func connectTimeout(cc *pgx.ConnConfig, wait time.Duration) time.Duration {
	hosts := map[string]bool{net.JoinHostPort(cc.Host, strconv.Itoa(int(cc.Port))): true}
	for _, f := range cc.Fallbacks {
		hosts[net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port)))] = true
	}
	return max(wait/time.Duration(max(len(hosts), 2)), 2*time.Second)
}

// milliseconds is a timeout as the server takes it: 0 is none.
func milliseconds(d time.Duration) string {
	if d < 0 {
		return "0"
	}
	return strconv.FormatInt(max(d.Milliseconds(), 1), 10)
}
