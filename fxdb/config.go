package fxdb

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/agentagency/onepool/lifecycle"
)

// Start modes.
const (
	// StartRequire fails the start when the server can't be reached.
	StartRequire = string(lifecycle.StartRequire)
	// StartWait tries again, backing off, for four fifths of fx's start time.
	StartWait = string(lifecycle.StartWait)
	// StartDegrade starts with a warning and connects, and migrates, in the
	// background. Until then every use fails with ErrNotStarted. A migration that
	// fails there ends the start for good, and the log says so.
	StartDegrade = string(lifecycle.StartDegrade)
)

// The defaults of Config's fields.
const (
	DefaultPoolMin                  = 2
	DefaultPoolMax                  = 20
	DefaultIdleTimeout              = 30 * time.Second
	DefaultConnectionTimeout        = 10 * time.Second
	DefaultStatementTimeout         = 30 * time.Second
	DefaultLockTimeout              = 10 * time.Second
	DefaultIdleInTransactionTimeout = 60 * time.Second
	DefaultMaxLifetime              = 30 * time.Minute
	DefaultDrainTimeout             = 10 * time.Second
	DefaultLeakThreshold            = lifecycle.DefaultLeakThreshold
	DefaultSlowQuery                = time.Second
)

// Config says which database and how. It is a value in the fx graph: change it
// with fx.Decorate or fx.Replace. ConfigFromEnv fills it from the environment.
//
// A zero field takes its default, with one exception: where PoolMax is set, a
// PoolMin of 0 is 0. A negative duration switches that limit off where it says
// so. Printing a Config in any way shows no password.
type Config struct {
	// URL is a connection string in any form that pgx takes (DATABASE_URL). What
	// it says wins over the fields below; what it leaves out they fill in, and after
	// them libpq's variables (PGHOST, PGSSLMODE), as pgx has it. Without a URL these
	// variables count as a whole or not at all: see [ConfigFromEnv].
	URL string

	Host         string // DB_HOST: name, address or folder of a Unix socket; default localhost
	Port         int    // DB_PORT; default 5432
	Name         string // DB_NAME: database
	User         string // DB_USER
	Password     string // DB_PASSWORD
	PasswordFile string // DB_PASSWORD_FILE: file whose content, less line breaks at its end, is the password; read for every new connection
	SSLMode      string // DB_SSLMODE: disable, allow, prefer, require, verify-ca, verify-full; default prefer
	SSLRootCert  string // DB_SSLROOTCERT: file with the certificate authority

	PoolMin int // DB_POOL_MIN: connections kept open; default 2
	PoolMax int // DB_POOL_MAX: connections at most; default 20

	ReplicasOfApp int // DB_REPLICAS_OF_APP: processes of this application, for the check at start that the server lets all pools be filled; default 1

	IdleTimeout              time.Duration // DB_IDLE_TIMEOUT_MS: idle connections above PoolMin close after this; default 30 s
	ConnectionTimeout        time.Duration // DB_CONNECTION_TIMEOUT_MS: longest wait for a connection; default 10 s
	QueueMax                 int           // DB_QUEUE_MAX: callers that may wait for a connection, one more fails at once, but a client that has nobody waiting may always queue one; default 0: any number
	StatementTimeout         time.Duration // DB_STATEMENT_TIMEOUT_MS: statement_timeout on the server; default 30 s, negative: none; LeftToServer: the server's own
	LockTimeout              time.Duration // DB_LOCK_TIMEOUT_MS: lock_timeout on the server; default 10 s, negative: none; LeftToServer: the server's own
	IdleInTransactionTimeout time.Duration // DB_IDLE_IN_TX_TIMEOUT_MS: idle_in_transaction_session_timeout on the server; default 60 s, negative: none; LeftToServer: the server's own
	MaxLifetime              time.Duration // DB_MAX_LIFETIME_MS: a connection is replaced after this, plus up to 10 percent; default 30 min, negative: never
	DrainTimeout             time.Duration // DB_DRAIN_TIMEOUT_MS: how long a stop waits for work in flight; default 10 s

	LeakThreshold time.Duration // DB_LEAK_THRESHOLD_MS: a connection held longer is logged with its holder; default 60 s, negative: never

	SlowQuery time.Duration // DB_SLOW_QUERY_MS: a statement that takes longer, until its rows are closed, is logged without its arguments; default 1 s, negative: never

	NestedAcquire string // DB_NESTED_ACQUIRE: off, warn, strict; see lifecycle.NestedMode; default warn

	Sharing           string  // DB_SHARING: on, dry-run, off; how clients share the pool, see package admission; default on
	TenantMaxFraction float64 // DB_TENANT_MAX_FRACTION: part of the pool, from 0 to 1, that one tenant may hold at once; default 0: no limit

	ApplicationName string // DB_APPLICATION_NAME: shown in pg_stat_activity; default the program's name

	Start      string // DB_START: require, wait, degrade; default require
	Migrate    bool   // DB_MIGRATE: apply the contributed migrations at start
	MigrateURL string // DB_MIGRATE_URL: connection string of the role that migrates, with the pool's sslmode and sslrootcert if it leaves these out; default the pool's own

	MigrateLockTimeout time.Duration // DB_MIGRATE_LOCK_TIMEOUT_MS: lock_timeout of migrations in a transaction; default what DB_MIGRATE_URL, its role or its database says, else LockTimeout; negative: none

	TenantRole    string   // DB_TENANT_ROLE: role taken for each transaction or statement, with a tenant or none
	VerifyTenancy string   // DB_VERIFY_TENANCY: run rls.Verify at start, after the migrations: off, warn (log what it finds), require (fail on an error, too); default off, and warn on the databases of devdb.Module and testkit.Swap
	Pooler        string   // DB_POOLER: none, or transaction behind PgBouncer and its like; default none
	Dedicated     []string // DB_DEDICATED: clients that get back a pool of their own, each a name or name=connections; default connections: PoolMax

	pool     string        // the name that ModuleNamed gave the pool, empty for Module's
	misspelt []misspelling // variables that are no settings, for the log
	unasked  bool          // VerifyTenancy is warn because the database is a throwaway one
	filled   filled        // fields that nobody set
	fences   []setting     // limits that a pooler would refuse at connect, and that travel with each transaction
}

// filled holds the defaults that withDefaults has filled in. A field that is equal to
// its mark is one that nobody set.
type filled struct {
	host, sslmode, application, verify string
	port                               int
	statement, lock, idleInTxn         time.Duration
}

// NamesDatabase reports whether any setting, libpq's own PGHOST, PGPORT, PGDATABASE
// and PGSERVICE included, says which database is meant. If none does, a throwaway
// server may be used. libpq's variables name no database of ModuleNamed's.
func (c Config) NamesDatabase() bool {
	if c.URL != "" || c.Name != "" || c.User != "" || c.Host != c.filled.host || c.Port != c.filled.port {
		return true
	}
	for _, v := range []string{"PGHOST", "PGPORT", "PGDATABASE", "PGSERVICE"} {
		if c.pool == "" && os.Getenv(v) != "" {
			return true
		}
	}
	return false
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	fill(&c.Host, &c.filled.host, "localhost")
	fill(&c.Port, &c.filled.port, 5432)
	fill(&c.SSLMode, &c.filled.sslmode, "prefer")
	if c.PoolMax == 0 {
		set(&c.PoolMin, DefaultPoolMin)
		c.PoolMax = max(DefaultPoolMax, c.PoolMin)
	}
	set(&c.IdleTimeout, DefaultIdleTimeout)
	set(&c.ConnectionTimeout, DefaultConnectionTimeout)
	fill(&c.StatementTimeout, &c.filled.statement, DefaultStatementTimeout)
	fill(&c.LockTimeout, &c.filled.lock, DefaultLockTimeout)
	fill(&c.IdleInTransactionTimeout, &c.filled.idleInTxn, DefaultIdleInTransactionTimeout)
	set(&c.MaxLifetime, DefaultMaxLifetime)
	set(&c.DrainTimeout, DefaultDrainTimeout)
	set(&c.LeakThreshold, DefaultLeakThreshold)
	set(&c.SlowQuery, DefaultSlowQuery)
	application := filepath.Base(os.Args[0])
	if c.pool != "" {
		application += "." + c.pool
	}
	fill(&c.ApplicationName, &c.filled.application, application)
	set(&c.ReplicasOfApp, 1)
	set(&c.Start, StartRequire)
	set(&c.NestedAcquire, string(lifecycle.NestedWarn))
	fill(&c.VerifyTenancy, &c.filled.verify, verifyOff)
	set(&c.Pooler, "none")
	set(&c.Sharing, sharingOn)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// fill is set that leaves a mark.
func fill[T comparable](field, mark *T, value T) {
	var zero T
	if *field == zero {
		*field, *mark = value, value
	}
}

const redacted = "xxxxx"

// public returns a copy that may be shown: passwords are replaced, and a URL is
// shown only where its password can be told from the rest.
func (c Config) public() Config {
	if c.Password != "" {
		c.Password = redacted
	}
	c.URL = redactURL(c.URL)
	c.MigrateURL = redactURL(c.MigrateURL)
	return c
}

// shown has Config's fields and none of its methods.
type shown Config

// String returns the configuration without passwords.
func (c Config) String() string { return fmt.Sprintf("%+v", shown(c.public())) }

// GoString returns the configuration without passwords, for %#v.
func (c Config) GoString() string {
	return strings.Replace(fmt.Sprintf("%#v", shown(c.public())), "fxdb.shown", "fxdb.Config", 1)
}

// Format writes the configuration without passwords, whatever the verb.
func (c Config) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('#') {
		_, _ = io.WriteString(f, c.GoString())
		return
	}
	_, _ = io.WriteString(f, c.String())
}

// MarshalJSON encodes the configuration without passwords. zap's Any and
// Reflect fields use it too.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(shown(c.public())) }

// LogValue is the configuration without passwords, for log/slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
