package fxdb

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgservicefile"
)

// part is a setting for the server, the user or the link of a connection.
type part struct {
	key      string // libpq's keyword
	setting  string
	variable string // libpq's, for the same
	value    string // what somebody set; empty: nobody
	standard string // the value if nobody sets one
}

// libpqVariables are the environment variables of libpq that pgx reads.
var libpqVariables = []string{
	"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGAPPNAME", "PGCONNECT_TIMEOUT",
	"PGSSLMODE", "PGSSLKEY", "PGSSLCERT", "PGSSLCERTMODE", "PGSSLSNI", "PGSSLROOTCERT", "PGSSLPASSWORD",
	"PGSSLNEGOTIATION",
	"PGTARGETSESSIONATTRS", "PGSERVICE", "PGSERVICEFILE", "PGTZ", "PGOPTIONS",
	"PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION", "PGCHANNELBINDING", "PGREQUIREAUTH",
}

// parts returns the parts of c. The caller has filled in the defaults of c.
func (c Config) parts() []part {
	set := func(value, mark string) string {
		if value == mark {
			return ""
		}
		return value
	}
	var port string
	if c.Port != c.filled.port {
		port = strconv.Itoa(c.Port)
	}
	return []part{
		{"host", "DB_HOST", "PGHOST", strings.Trim(set(c.Host, c.filled.host), "[]"), c.filled.host},
		{"port", "DB_PORT", "PGPORT", port, strconv.Itoa(c.filled.port)},
		{"dbname", "DB_NAME", "PGDATABASE", c.Name, ""},
		{"user", "DB_USER", "PGUSER", c.User, ""},
		{"password", "DB_PASSWORD", "PGPASSWORD", c.Password, ""},
		{"sslmode", "DB_SSLMODE", "PGSSLMODE", set(c.SSLMode, c.filled.sslmode), c.filled.sslmode},
		{"sslrootcert", "DB_SSLROOTCERT", "PGSSLROOTCERT", c.SSLRootCert, ""},
	}
}

// connString returns the connection string for pgx: URL, completed from the other fields,
// or the fields alone. The string is empty if only libpq's variables say where to connect:
// pgx then reads all of libpq's variables by itself.
func (c Config) connString() (string, error) {
	parts := c.parts()
	s := c.URL
	if s == "" {
		named := c.PasswordFile != "" || slices.ContainsFunc(parts, func(p part) bool { return p.value != "" })
		theirs := slices.ContainsFunc(parts, func(p part) bool { return os.Getenv(p.variable) != "" })
		if !named && c.pool == "" && (theirs || os.Getenv("PGSERVICE") != "") {
			return withCertificate("", c.SSLCert, c.SSLKey), nil
		}
		if named || c.pool == "" { // else the build refuses
			if err := c.unmixed(parts); err != nil {
				return "", err
			}
		}
		s = "postgres://"
		for i := range parts {
			set(&parts[i].value, parts[i].standard)
		}
	}
	if c.URL != "" {
		if err := c.unshared("DATABASE_URL", s, parts); err != nil {
			return "", err
		}
	}
	for _, p := range parts {
		if p.value != "" && !given(s, p.key) {
			s = with(s, p.key, p.value)
		}
	}
	return withCertificate(s, c.SSLCert, c.SSLKey), nil
}

// unshared keeps libpq's variables, which belong to Module's pool, from the connection string of
// a named pool: the password of a server must not go to another server. A part that the string
// leaves out takes onepool's default, or is an error.
func (c Config) unshared(setting, connString string, parts []part) error {
	if c.pool == "" {
		return nil
	}
	service, ok := serviceOf(connString)
	if !ok {
		return nil // pgx returns the error
	}
	var errs []error
	for i, p := range parts {
		if p.value != "" || given(connString, p.key) || service[p.key] != "" || os.Getenv(p.variable) == "" || p.key == "password" && c.PasswordFile != "" {
			continue
		}
		if parts[i].value = p.standard; p.standard == "" {
			reason := "sets no " + p.key + ", and " + p.variable + " belongs to the pool of fxdb.Module: add the " + p.key + ", or " + p.key + "= for none"
			errs = append(errs, &ConfigError{Setting: setting, Reason: reason})
		}
	}
	if os.Getenv("PGSERVICE") != "" && service == nil {
		errs = append(errs, &ConfigError{Setting: "PGSERVICE", Reason: "is set, and would fill in parts of " + setting +
			": unset PGSERVICE, and set service= in the connection string of fxdb.Module's pool"})
	}
	return errors.Join(errs...)
}

// serviceOf returns the settings of the service that a connection string names, or nil if the
// string names none. ok is false if pgx can't read the service.
func serviceOf(connString string) (_ map[string]string, ok bool) {
	given := settingsOf(connString)
	name, named := given["service"]
	if !named {
		return nil, true
	}
	path := cmp.Or(given["servicefile"], os.Getenv("PGSERVICEFILE"))
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, false
		}
		path = filepath.Join(home, ".pg_service.conf")
	}
	file, err := pgservicefile.ReadServicefile(path)
	if err != nil {
		return nil, false
	}
	service, err := file.GetService(name)
	if err != nil {
		return nil, false
	}
	return service.Settings, true
}

// withCertificate adds a client's certificate to a connection string without one. A certificate
// names the client and no server, so a certificate in libpq's variables may stand beside a DB_*
// part of the connection.
func withCertificate(s, cert, key string) string {
	if cert == "" || key == "" || given(s, "sslcert") || given(s, "sslkey") {
		return s
	}
	return with(with(s, "sslcert", cert), "sslkey", key)
}

// linkSetting names the setting that decides whether the pool checks the server's certificate.
func (c Config) linkSetting() string {
	switch {
	case given(c.URL, "sslmode"):
		return "DATABASE_URL"
	case c.SSLMode == c.filled.sslmode && os.Getenv("PGSSLMODE") != "":
		return "PGSSLMODE"
	}
	return "DB_SSLMODE"
}

// unmixed returns an error for each variable of libpq that pgx would use for a missing
// part. A variable belongs to the server that the other variables name. In a mix, a
// password could go to another server, or over a link without encryption.
func (c Config) unmixed(parts []part) error {
	var errs []error
	var set []string
	for _, p := range parts {
		if p.value != "" {
			set = append(set, p.setting)
		}
	}
	if c.PasswordFile != "" {
		set = append(set, "DB_PASSWORD_FILE")
	}
	beside := "so are " + strings.Join(set, ", ")
	if len(set) == 1 {
		beside = "so is " + set[0]
	}
	for _, p := range parts {
		theirs := os.Getenv(p.variable)
		if p.value != "" || theirs == "" || theirs == p.standard || p.key == "password" && c.PasswordFile != "" {
			continue
		}
		reason := "is not set, but " + p.variable + " is, and " + beside +
			": the two kinds don't mix, so set " + p.setting + " too, or use libpq's variables alone"
		errs = append(errs, &ConfigError{Setting: p.setting, Reason: reason})
	}
	if os.Getenv("PGSERVICE") != "" && len(set) > 0 {
		reason := "is set, and " + beside + ": the two kinds don't mix, so unset one kind"
		errs = append(errs, &ConfigError{Setting: "PGSERVICE", Reason: reason})
	}
	return errors.Join(errs...)
}

// strictModes are the values of sslmode that never send in clear.
var strictModes = []string{"require", "verify-ca", "verify-full"}

// migrateString returns MigrateURL, completed with the pool's database, and with the pool's hosts if
// MigrateURL names none, and with the link's settings. The password of the tables' owner must
// not travel in clear while the pool encrypts its own password.
func (c Config) migrateString() (string, error) {
	s, err := c.onPoolsServer(c.MigrateURL)
	if err != nil {
		return "", err
	}
	if err := c.unshared("DB_MIGRATE_URL", s, []part{
		{key: "user", variable: "PGUSER"}, {key: "password", variable: "PGPASSWORD"}, {key: "port", variable: "PGPORT", standard: "5432"},
	}); err != nil {
		return "", err
	}
	for _, p := range c.parts() {
		if p.key != "sslmode" && p.key != "sslrootcert" || given(s, p.key) {
			continue
		}
		if p.value != "" {
			s = with(s, p.key, p.value)
		}
	}
	if !given(s, "sslmode") {
		pool := settingsOf(c.URL)
		if mode := pool["sslmode"]; slices.Contains(strictModes, mode) {
			s = with(s, "sslmode", mode)
			if ca := pool["sslrootcert"]; ca != "" && !given(s, "sslrootcert") {
				s = with(s, "sslrootcert", ca)
			}
		}
	}
	s = withCertificate(s, c.SSLCert, c.SSLKey)
	return withCertificate(s, settingsOf(c.URL)["sslcert"], settingsOf(c.URL)["sslkey"]), nil
}

// onPoolsServer completes a connection string with the pool's database and, if the string names
// neither a host nor a service, with the pool's hosts.
func (c Config) onPoolsServer(s string) (string, error) {
	if given(s, "service") || given(s, "host") && given(s, "dbname") {
		return s, nil
	}
	own, err := c.connString()
	if err != nil {
		return "", err
	}
	pc, err := parseConnString(c.connSetting(own), own)
	if err != nil {
		return "", err
	}
	if !given(s, "dbname") {
		s = with(s, "dbname", pc.ConnConfig.Database)
	}
	if given(s, "host") || given(s, "hostaddr") {
		return s, nil
	}
	hosts, ports := []string{pc.ConnConfig.Host}, []string{strconv.Itoa(int(pc.ConnConfig.Port))}
	for _, f := range pc.ConnConfig.Fallbacks {
		host, port := f.Host, strconv.Itoa(int(f.Port))
		if i := len(hosts) - 1; host != hosts[i] || port != ports[i] { // a fallback may be the same host without TLS
			hosts, ports = append(hosts, host), append(ports, port)
		}
	}
	s = with(s, "host", strings.Join(hosts, ","))
	if !given(s, "port") {
		s = with(s, "port", strings.Join(ports, ","))
	}
	return s, nil
}
