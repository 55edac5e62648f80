package fxdb

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// problems lists every invalid setting once.
type problems []*ConfigError

func (p *problems) add(setting, reason string) {
	if !p.has(setting) {
		*p = append(*p, &ConfigError{Setting: setting, Reason: reason})
	}
}

func (p problems) has(settings ...string) bool {
	return slices.ContainsFunc(p, func(e *ConfigError) bool { return slices.Contains(settings, e.Setting) })
}

// err joins the problems, and is nil without problems.
func (p problems) err() error {
	errs := make([]error, len(p))
	for i, e := range p {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// validate returns a [*ConfigError] for each invalid setting, joined. The caller has
// filled in the defaults.
func (c Config) validate() error {
	var bad problems
	c.check(&bad)
	return bad.err()
}

// check adds each invalid setting to bad, and skips the checks that depend on an invalid
// setting.
func (c Config) check(bad *problems) {
	for _, check := range []struct {
		bad             bool
		setting, reason string
	}{
		{c.Port < 1 || c.Port > 65535, "DB_PORT", fmt.Sprintf("%d is no port: must be 1 to 65535", c.Port)},
		{!oneOf(c.SSLMode, "disable", "allow", "prefer", "require", "verify-ca", "verify-full"), "DB_SSLMODE", fmt.Sprintf("%q is unknown: must be disable, allow, prefer, require, verify-ca or verify-full", c.SSLMode)},
		{c.PoolMax < 1, "DB_POOL_MAX", fmt.Sprintf("%d is too small: must be at least 1", c.PoolMax)},
		{c.PoolMax > 1<<16, "DB_POOL_MAX", fmt.Sprintf("%d is too large: must be at most 65536", c.PoolMax)},
		{c.PoolMin < 0, "DB_POOL_MIN", fmt.Sprintf("%d is negative: must be 0 or more", c.PoolMin)},
		{c.PoolMin > c.PoolMax && !bad.has("DB_POOL_MAX"), "DB_POOL_MIN", fmt.Sprintf("%d is more than DB_POOL_MAX=%d", c.PoolMin, c.PoolMax)},
		{c.ReplicasOfApp < 1, "DB_REPLICAS_OF_APP", fmt.Sprintf("%d is too small: must be at least 1", c.ReplicasOfApp)},
		{!(c.ServerWaitFraction <= 1), "DB_SERVER_WAIT_FRACTION", fmt.Sprintf("%v is no fraction: must be from 0 (fail at once) to 1", c.ServerWaitFraction)},
		{c.QueueMax < 0, "DB_QUEUE_MAX", fmt.Sprintf("%d is negative: must be 0 (any number) or more", c.QueueMax)},
		{c.QueueTarget < 0, "DB_QUEUE_TARGET_MS", fmt.Sprintf("%s is negative: must be 0 (no target) or more", c.QueueTarget)},
		{c.QueueInterval < time.Millisecond, "DB_QUEUE_INTERVAL_MS", "must be at least 1"},
		{c.IdleTimeout < time.Millisecond, "DB_IDLE_TIMEOUT_MS", "must be at least 1"},
		{c.ConnectionTimeout < time.Millisecond, "DB_CONNECTION_TIMEOUT_MS", "must be at least 1: an unbounded wait hangs the callers of a full pool"},
		{c.StopDelay < 0, "DB_STOP_DELAY_MS", fmt.Sprintf("%s is negative: must be 0 (none) or more", c.StopDelay)},
		{c.DrainTimeout < time.Millisecond, "DB_DRAIN_TIMEOUT_MS", "must be at least 1"},
		{c.Password != "" && c.PasswordFile != "", "DB_PASSWORD_FILE", "is set together with DB_PASSWORD: unset one of the two"},
		{!oneOf(c.Start, StartRequire, StartWait, StartDegrade), "DB_START", fmt.Sprintf("%q is unknown: must be require, wait or degrade", c.Start)},
		{!oneOf(c.NestedAcquire, NestedOff, NestedWarn, NestedStrict), "DB_NESTED_ACQUIRE", fmt.Sprintf("%q is unknown: must be off, warn or strict", c.NestedAcquire)},
		{!oneOf(c.VerifyTenancy, VerifyOff, VerifyWarn, VerifyRequire), "DB_VERIFY_TENANCY", fmt.Sprintf("%q is unknown: must be off, warn or require", c.VerifyTenancy)},
		{!oneOf(c.Pooler, PoolerNone, PoolerTransaction), "DB_POOLER", fmt.Sprintf("%q is unknown: must be none or transaction", c.Pooler)},
		{!oneOf(c.Sharing, SharingOn, SharingDryRun, SharingOff), "DB_SHARING", fmt.Sprintf("%q is unknown: must be on, dry-run or off", c.Sharing)},
		{!(c.TenantMaxFraction >= 0 && c.TenantMaxFraction <= 1), "DB_TENANT_MAX_FRACTION", fmt.Sprintf("%v is no fraction: must be from 0 to 1", c.TenantMaxFraction)},
		{c.TenantMaxFraction > 0 && c.Sharing == SharingOff && !bad.has("DB_SHARING"), "DB_TENANT_MAX_FRACTION", "needs DB_SHARING on or dry-run"},
		{c.pooled() && c.SessionCheck, "DB_SESSION_CHECK", "is true and DB_POOLER is transaction: behind a pooler the session belongs to the pooler's clients. Set DB_SESSION_CHECK=false, or connect to the server itself"},
		{c.pooled() && c.Migrate && c.MigrateURL == "", "DB_MIGRATE_URL", "is needed if DB_MIGRATE is true and DB_POOLER is transaction: migrations hold a lock of their session, and connect to the server itself"},
	} {
		if check.bad {
			bad.add(check.setting, check.reason)
		}
	}
	c.checkText(bad)
	c.checkHost(bad)
	if err := validateDedicated(c.Dedicated); err != nil {
		bad.add(err.Setting, err.Reason)
	}
	c.checkFiles(bad)
	c.checkStrings(bad)
}

func oneOf[T comparable](v T, known ...T) bool { return slices.Contains(known, v) }

// checkText refuses line breaks, because the server would repeat the breaks in its log. A
// connection string and a password may hold a line break inside, but not at the end.
func (c Config) checkText(bad *problems) {
	for _, text := range []struct {
		setting, value string
		inside         bool
	}{
		{"DATABASE_URL", c.URL, false}, {"DB_MIGRATE_URL", c.MigrateURL, false}, {"DB_PASSWORD", c.Password, false},
		{"DB_HOST", c.Host, true}, {"DB_NAME", c.Name, true}, {"DB_USER", c.User, true},
		{"DB_PASSWORD_FILE", c.PasswordFile, true}, {"DB_SSLROOTCERT", c.SSLRootCert, true},
		{"DB_SSLCERT", c.SSLCert, true}, {"DB_SSLKEY", c.SSLKey, true},
		{"DB_APPLICATION_NAME", c.ApplicationName, true}, {"DB_TENANT_ROLE", c.TenantRole, true},
	} {
		switch {
		case strings.TrimRight(text.value, "\r\n") != text.value:
			bad.add(text.setting, "ends in a line break: take the break off")
		case text.inside && strings.ContainsAny(text.value, "\r\n"):
			bad.add(text.setting, "holds a line break")
		case strings.ContainsRune(text.value, 0):
			bad.add(text.setting, "holds a NUL byte")
		case text.setting != "DB_PASSWORD" && isQuoted(text.value):
			bad.add(text.setting, "is in quotes: take the quotes off, which docker's --env-file keeps as a part of the value")
		case text.inside && !utf8.ValidString(text.value):
			bad.add(text.setting, "is not UTF-8")
		}
	}
	for _, kv := range os.Environ() {
		name, value, _ := strings.Cut(kv, "=")
		if slices.Contains(libpqVariables, name) && strings.TrimRight(value, "\r\n") != value {
			bad.add(name, "ends in a line break: take the break off")
		}
	}
}

func isQuoted(s string) bool {
	return len(s) > 1 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0]
}

// checkHost reports the setting for each part of DB_HOST that is no host. The report never
// quotes DB_HOST, because DB_HOST may hold a password.
func (c Config) checkHost(bad *problems) {
	for host := range strings.SplitSeq(c.Host, ",") {
		name, isAddress := strings.CutPrefix(host, "[")
		switch {
		case strings.HasPrefix(host, "/"), strings.HasPrefix(host, "@"): // a socket's folder
		case strings.ContainsFunc(host, unicode.IsSpace):
			bad.add("DB_HOST", "holds a blank: set DB_HOST to the host, or to hosts with commas and no blanks")
		case strings.Contains(host, "://"):
			bad.add("DB_HOST", "is a connection string: set DATABASE_URL instead")
		case strings.Contains(host, "@"):
			bad.add("DB_HOST", "holds more than a host: set DB_USER and DB_PASSWORD to the parts before the @")
		case isAddress && !strings.HasSuffix(name, "]"),
			!isAddress && strings.Count(host, ":") == 1 && !strings.Contains(host, `\`):
			bad.add("DB_HOST", "holds a port: set DB_PORT to the port, and DB_HOST to the host alone. Hosts with ports of their own need DATABASE_URL")
		case strings.Contains(host, "/"):
			bad.add("DB_HOST", "holds more than a host: set DB_NAME to the database")
		}
	}
}

// checkFiles reads the files that connecting reads again.
func (c Config) checkFiles(bad *problems) {
	if (c.SSLCert != "") != (c.SSLKey != "") {
		missing, set := "DB_SSLKEY", "DB_SSLCERT"
		if c.SSLCert == "" {
			missing, set = set, missing
		}
		bad.add(missing, "is not set, but "+set+" is: set both, the certificate and its key")
	}
	for _, file := range []struct{ setting, name string }{
		{"DB_SSLROOTCERT", c.SSLRootCert}, {"DB_SSLCERT", c.SSLCert}, {"DB_SSLKEY", c.SSLKey},
	} {
		if file.name == "" || file.name == "system" && file.setting == "DB_SSLROOTCERT" || bad.has(file.setting) {
			continue
		}
		if _, err := os.ReadFile(file.name); err != nil {
			bad.add(file.setting, "can't be read: "+err.Error())
		}
	}
	if c.PasswordFile != "" && !bad.has("DB_PASSWORD_FILE") {
		var configErr *ConfigError
		if _, err := passwordFile(c.PasswordFile)(context.Background()); errors.As(err, &configErr) {
			bad.add(configErr.Setting, configErr.Reason)
		}
	}
}

// checkStrings lets pgx parse the connection strings. If a setting to fill in is invalid,
// pgx parses the string alone, and reports only errors of the string.
func (c Config) checkStrings(bad *problems) {
	alone := bad.has("DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD",
		"DB_SSLMODE", "DB_SSLROOTCERT", "DB_SSLCERT", "DB_SSLKEY", "DB_POOLER")
	var errs []error
	read := func(setting, s string, whole func() error) {
		switch {
		case bad.has(setting):
		case !alone:
			errs = append(errs, whole())
		case s != "":
			_, err := parseConnString(setting, s)
			errs = append(errs, err)
		}
	}
	read("DATABASE_URL", c.URL, func() error { _, err := c.poolConfig(); return err })
	if c.MigrateURL != "" {
		read("DB_MIGRATE_URL", c.MigrateURL, func() error { _, err := c.migrateConfig(); return err })
	}
	for _, err := range errs {
		for _, e := range configErrors(err) {
			bad.add(e.Setting, e.Reason)
		}
	}
}

// configErrors returns every [*ConfigError] that err joins.
func configErrors(err error) (all []*ConfigError) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			all = append(all, configErrors(err)...)
		}
		return all
	}
	var one *ConfigError
	if errors.As(err, &one) {
		all = append(all, one)
	}
	return all
}
