package fxdb

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/caarlos0/env/v11"
)

// environ is the environment as text, before the conversion to a [Config].
type environ struct {
	URL               string      `env:"DATABASE_URL"`
	Host              string      `env:"DB_HOST"`
	Port              whole       `env:"DB_PORT"`
	Name              string      `env:"DB_NAME"`
	User              string      `env:"DB_USER"`
	Password          string      `env:"DB_PASSWORD"`
	PasswordFile      string      `env:"DB_PASSWORD_FILE"`
	SSLMode           string      `env:"DB_SSLMODE"`
	SSL               boolean     `env:"DB_SSL"`
	SSLRootCert       string      `env:"DB_SSLROOTCERT"`
	SSLCert           string      `env:"DB_SSLCERT"`
	SSLKey            string      `env:"DB_SSLKEY"`
	PoolMin           whole       `env:"DB_POOL_MIN"`
	PoolMax           whole       `env:"DB_POOL_MAX"`
	Replicas          whole       `env:"DB_REPLICAS_OF_APP"`
	IdleTimeout       whole       `env:"DB_IDLE_TIMEOUT_MS"`
	ConnTimeout       whole       `env:"DB_CONNECTION_TIMEOUT_MS"`
	ServerWait        fraction    `env:"DB_SERVER_WAIT_FRACTION"`
	QueueMax          whole       `env:"DB_QUEUE_MAX"`
	QueueTarget       whole       `env:"DB_QUEUE_TARGET_MS"`
	QueueInterval     whole       `env:"DB_QUEUE_INTERVAL_MS"`
	StatementTimeout  timeout     `env:"DB_STATEMENT_TIMEOUT_MS"`
	LockTimeout       timeout     `env:"DB_LOCK_TIMEOUT_MS"`
	IdleInTxTimeout   timeout     `env:"DB_IDLE_IN_TX_TIMEOUT_MS"`
	TransactionLimit  whole       `env:"DB_TRANSACTION_TIMEOUT_MS"`
	MaxLifetime       whole       `env:"DB_MAX_LIFETIME_MS"`
	StopDelay         whole       `env:"DB_STOP_DELAY_MS"`
	DrainTimeout      whole       `env:"DB_DRAIN_TIMEOUT_MS"`
	LeakThreshold     whole       `env:"DB_LEAK_THRESHOLD_MS"`
	CallSites         boolean     `env:"DB_CALL_SITES"`
	SlowQuery         whole       `env:"DB_SLOW_QUERY_MS"`
	NestedAcquire     NestedMode  `env:"DB_NESTED_ACQUIRE"`
	Sharing           SharingMode `env:"DB_SHARING"`
	TenantMaxFraction fraction    `env:"DB_TENANT_MAX_FRACTION"`
	ApplicationName   string      `env:"DB_APPLICATION_NAME"`
	Start             StartMode   `env:"DB_START"`
	Migrate           boolean     `env:"DB_MIGRATE"`
	MigrateURL        string      `env:"DB_MIGRATE_URL"`
	MigrateLock       whole       `env:"DB_MIGRATE_LOCK_TIMEOUT_MS"`
	TenantRole        string      `env:"DB_TENANT_ROLE"`
	VerifyTenancy     VerifyMode  `env:"DB_VERIFY_TENANCY"`
	SessionCheck      boolean     `env:"DB_SESSION_CHECK"`
	Pooler            PoolerMode  `env:"DB_POOLER"`
	Dedicated         []string    `env:"DB_DEDICATED"`
}

// whole is a whole number that knows whether the variable was set: 0 is not the default.
type whole struct {
	set bool
	n   int64
}

func (w *whole) UnmarshalText(b []byte) error {
	if len(b) == 0 { // set to nothing is not set
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 32)
	if errors.Is(err, strconv.ErrRange) {
		return fmt.Errorf("%q is out of range", b)
	}
	if err != nil {
		return fmt.Errorf("%q is not a whole number", b)
	}
	if n < 0 {
		return fmt.Errorf("%d is negative", n)
	}
	*w = whole{true, n}
	return nil
}

// timeout is a whole number, or the word server.
type timeout struct {
	whole
	server bool
}

func (t *timeout) UnmarshalText(b []byte) error {
	if string(b) == "server" {
		t.server = true
		return nil
	}
	if err := t.whole.UnmarshalText(b); err != nil {
		return fmt.Errorf("%w: must be milliseconds, 0 (no limit) or server (the server's own)", err)
	}
	return nil
}

// fraction is a number that knows whether the variable was set.
type fraction struct {
	set bool
	f   float64
}

func (v *fraction) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return fmt.Errorf("%q is not a number", b)
	}
	*v = fraction{true, f}
	return nil
}

type boolean bool

func (v *boolean) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	parsed, err := strconv.ParseBool(strings.ToLower(string(b)))
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", b)
	}
	*v = boolean(parsed)
	return nil
}

// ConfigFromEnv reads DATABASE_URL and the DB_* variables, checks the values and fills in
// the defaults. A variable set to nothing counts as not set. ConfigFromEnv drops blanks
// around a value, and of DB_PASSWORD only line breaks at the end: a file with a secret often
// ends in a line break.
// ConfigFromEnv fails with a [*ConfigError] for each bad value; the error names the
// variable. Connecting is left to the start.
//
// libpq's variables (PGHOST, PGSERVICE, PGSSLMODE and all others that pgx reads) count as
// follows.
//
//   - DATABASE_URL is set: libpq's variables fill in the parts that neither DATABASE_URL
//     nor DB_HOST, DB_PORT, DB_NAME, DB_USER, DB_PASSWORD, DB_SSLMODE, DB_SSLROOTCERT,
//     DB_SSLCERT and DB_SSLKEY set, as for pgx. libpq's variables count for DB_MIGRATE_URL
//     in the same way.
//   - DATABASE_URL is not set, but a DB_* part of the list above (a certificate aside) or
//     DB_PASSWORD_FILE is: a missing part has onepool's default. ConfigFromEnv refuses a
//     variable of libpq with a different value for a part, because a password could go to
//     another server.
//   - None of the above is set: pgx reads libpq's variables as a whole, with libpq's
//     defaults. If PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGSSLMODE,
//     PGSSLROOTCERT and PGSERVICE are all unset, onepool's defaults count.
//
// PGAPPNAME, PGCONNECT_TIMEOUT, PGOPTIONS, PGTZ, PGTARGETSESSIONATTRS, PGPASSFILE, and the
// variables of a client's certificate count in every case. A DB_* setting comes before a
// variable of libpq.
func ConfigFromEnv() (Config, error) { return configFromEnv("") }

// configFromEnv reads the settings of the pool that ModuleNamed has named.
func configFromEnv(pool string) (_ Config, err error) {
	prefix := settingsPrefix(pool)
	defer func() { err = prefixed(prefix, err) }()
	var e environ
	var bad problems
	values := environment(prefix)
	if err := env.ParseWithOptions(&e, env.Options{Environment: values}); err != nil {
		envProblems(err, values, &bad)
	}
	c := Config{
		URL: e.URL, Host: e.Host, Port: int(e.Port.n), Name: e.Name, User: e.User,
		Password: e.Password, PasswordFile: e.PasswordFile, SSLMode: e.SSLMode, SSLRootCert: e.SSLRootCert,
		SSLCert: e.SSLCert, SSLKey: e.SSLKey,
		Sharing: e.Sharing, TenantMaxFraction: e.TenantMaxFraction.f, ServerWaitFraction: e.ServerWait.f,
		CallSites: bool(e.CallSites), SessionCheck: bool(e.SessionCheck), NestedAcquire: e.NestedAcquire, ApplicationName: e.ApplicationName, Start: e.Start, Migrate: bool(e.Migrate), MigrateURL: e.MigrateURL,
		TenantRole: e.TenantRole, VerifyTenancy: e.VerifyTenancy, QueueMax: int(e.QueueMax.n), QueueTarget: time.Duration(e.QueueTarget.n) * time.Millisecond, StopDelay: time.Duration(e.StopDelay.n) * time.Millisecond, Pooler: e.Pooler, Dedicated: trimmed(e.Dedicated),
		pool: pool, misspelt: misspelt(prefix, os.Environ()),
	}
	if e.Port.set && e.Port.n == 0 {
		bad.add("DB_PORT", "0 is no port: must be 1 to 65535")
	}
	if c.SSLMode == "" && bool(e.SSL) {
		c.SSLMode = "require"
	}
	// 0 is a value in the environment, but not in Config. PoolMin keeps 0 because PoolMax
	// is always set. A limit that can be off becomes negative.
	c.PoolMin, c.PoolMax = e.PoolMin.or(DefaultPoolMin), e.PoolMax.or(DefaultPoolMax)
	c.ReplicasOfApp = e.Replicas.or(1)
	for setting, value := range map[string]whole{"DB_POOL_MAX": e.PoolMax, "DB_REPLICAS_OF_APP": e.Replicas} {
		if value.set && value.n == 0 {
			bad.add(setting, "0 is too small: must be at least 1")
		}
	}
	switch {
	case e.ServerWait.set && e.ServerWait.f == 0:
		c.ServerWaitFraction = -1
	case e.ServerWait.f < 0:
		bad.add("DB_SERVER_WAIT_FRACTION", fmt.Sprintf("%v is negative: must be from 0 (fail at once) to 1", e.ServerWait.f))
	}
	if !e.PoolMin.set {
		c.PoolMin = min(c.PoolMin, c.PoolMax)
	}
	e.durations(&c, &bad)
	c = c.withDefaults()
	c.check(&bad)
	if err := bad.err(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// durations sets the durations of c. 0 switches a limit off, if the limit can be off.
func (e *environ) durations(c *Config, bad *problems) {
	for _, d := range []struct {
		field   *time.Duration
		value   timeout
		setting string
		canBe0  bool
	}{
		{&c.IdleTimeout, timeout{whole: e.IdleTimeout}, "DB_IDLE_TIMEOUT_MS", false},
		{&c.ConnectionTimeout, timeout{whole: e.ConnTimeout}, "DB_CONNECTION_TIMEOUT_MS", false},
		{&c.QueueInterval, timeout{whole: e.QueueInterval}, "DB_QUEUE_INTERVAL_MS", false},
		{&c.StatementTimeout, e.StatementTimeout, "DB_STATEMENT_TIMEOUT_MS", true},
		{&c.LockTimeout, e.LockTimeout, "DB_LOCK_TIMEOUT_MS", true},
		{&c.MigrateLockTimeout, timeout{whole: e.MigrateLock}, "DB_MIGRATE_LOCK_TIMEOUT_MS", true},
		{&c.IdleInTransactionTimeout, e.IdleInTxTimeout, "DB_IDLE_IN_TX_TIMEOUT_MS", true},
		{&c.TransactionTimeout, timeout{whole: e.TransactionLimit}, "DB_TRANSACTION_TIMEOUT_MS", true},
		{&c.MaxLifetime, timeout{whole: e.MaxLifetime}, "DB_MAX_LIFETIME_MS", true},
		{&c.DrainTimeout, timeout{whole: e.DrainTimeout}, "DB_DRAIN_TIMEOUT_MS", false},
		{&c.LeakThreshold, timeout{whole: e.LeakThreshold}, "DB_LEAK_THRESHOLD_MS", true},
		{&c.SlowQuery, timeout{whole: e.SlowQuery}, "DB_SLOW_QUERY_MS", true},
	} {
		switch {
		case d.value.server:
			*d.field = LeftToServer
		case !d.value.set:
		case d.value.n > 0:
			*d.field = time.Duration(d.value.n) * time.Millisecond
		case d.canBe0:
			*d.field = -1
		default:
			bad.add(d.setting, "0 is too small: must be at least 1")
		}
	}
}

func (w whole) or(n int) int {
	if w.set {
		return int(w.n)
	}
	return n
}

func trimmed(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// environment returns the variables of the process with the prefix, without the prefix.
// environment drops blanks around a value, and of a password only line breaks at the end.
func environment(prefix string) map[string]string {
	all := make(map[string]string)
	for _, kv := range os.Environ() {
		name, value, ok := strings.Cut(kv, "=")
		if name, has := strings.CutPrefix(name, prefix); ok && has {
			all[name] = trimmedValue(name, value)
		}
	}
	return all
}

func trimmedValue(name, value string) string {
	switch value = strings.TrimRight(value, "\r\n"); name {
	case "DB_PASSWORD":
		return value
	case "DATABASE_URL", "DB_MIGRATE_URL":
		value = strings.TrimLeftFunc(value, unicode.IsSpace)
		if _, isURL := splitURL(value); !isURL { // a blank after a backslash may be the password's
			return value
		}
	}
	return strings.TrimSpace(value)
}

// envProblems reports the variables by name; the library reports the fields of the struct.
func envProblems(err error, values map[string]string, bad *problems) {
	all := []error{err}
	var several env.AggregateError
	if errors.As(err, &several) {
		all = several.Errors
	}
	for _, err := range all {
		var parse env.ParseError
		if !errors.As(err, &parse) {
			bad.add("the environment", err.Error())
			continue
		}
		setting := parse.Name
		if f, ok := reflect.TypeFor[environ]().FieldByName(parse.Name); ok {
			setting = f.Tag.Get("env")
		}
		reason := parse.Err.Error()
		if d, err := time.ParseDuration(values[setting]); err == nil && strings.HasSuffix(setting, "_MS") {
			reason = fmt.Sprintf("%s: give milliseconds: %d", reason, d.Milliseconds())
		}
		bad.add(setting, reason)
	}
}
