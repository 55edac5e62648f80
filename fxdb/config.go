package fxdb

import (
	"os"
	"path/filepath"
	"time"

	"github.com/agentagency/onepool/lifecycle"
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

// Config holds the settings of one pool. Config is a value in the fx graph: change Config
// with fx.Decorate or fx.Replace. [ConfigFromEnv] fills a Config from the environment.
//
// A zero field takes its default, with one exception: if PoolMax is set, a PoolMin of 0
// means 0. A negative duration switches a limit off if the field's comment allows a
// negative value. In the environment a duration is a whole number of milliseconds, and 0
// switches the limit off. String, GoString, MarshalJSON and LogValue show no password.
type Config struct {
	// URL is a connection string in any form that pgx reads. The parts of the URL win
	// over Host, Port and the fields below. These fields fill in the parts that the URL
	// leaves out, and libpq's variables (PGHOST, PGSSLMODE) fill in the rest. Without a
	// URL, libpq's variables count as a whole or not at all: see [ConfigFromEnv].
	// Default none. Variable DATABASE_URL.
	URL string

	// Host is the server's name, its address, or the folder of its Unix socket.
	// Default localhost. Variable DB_HOST.
	Host string

	// Port is the server's port, from 1 to 65535. Default 5432. Variable DB_PORT.
	Port int

	// Name is the name of the database. Default none. Variable DB_NAME.
	Name string

	// User is the role that the pool logs in as. In production this role is neither a
	// superuser nor the owner of the tables. Default none. Variable DB_USER.
	User string

	// Password is the password of User. Use PasswordFile or a [PasswordSource] for a
	// password that rotates. Default none. Variable DB_PASSWORD.
	Password string

	// PasswordFile is a file that holds the password. The pool reads the file for every
	// new connection, and drops line breaks at the end of the content.
	// Default none. Variable DB_PASSWORD_FILE.
	PasswordFile string

	// SSLMode is libpq's sslmode: disable, allow, prefer, require, verify-ca or
	// verify-full. Only verify-ca and verify-full check the server's certificate, and only
	// verify-full checks the server's name. DB_SSL=true means require, which encrypts for
	// whichever server answers, and prefer sends in clear to a server without TLS. The
	// start logs a warning for every mode without a check of the certificate, prefer
	// included, unless the host is a Unix socket or a loopback address.
	// Default prefer. Variable DB_SSLMODE.
	SSLMode string

	// SSLRootCert is a file with the certificates of the authorities that verify-ca and
	// verify-full trust, or the word system. Default none. Variable DB_SSLROOTCERT.
	SSLRootCert string

	// SSLCert is a file with the client's certificate, for a server that asks for one. The
	// pool reads SSLCert and SSLKey once, when the graph is built.
	// Default none. Variable DB_SSLCERT.
	SSLCert string

	// SSLKey is a file with the key of SSLCert. Default none. Variable DB_SSLKEY.
	SSLKey string

	// PoolMin is the number of connections that the pool opens at start and keeps open,
	// from 0 to PoolMax. The pool opens the successor of an old connection first. If PoolMin
	// is PoolMax, no successor has room: the pool closes one connection, opens the successor,
	// and goes on to the next. Default 2. Variable DB_POOL_MIN.
	PoolMin int

	// PoolMax is the largest number of connections, from 1 to 65536.
	// Default 20. Variable DB_POOL_MAX.
	PoolMax int

	// ReplicasOfApp is the number of processes of this application. The start compares the
	// connections of all processes with the limits of the server, the role and the database.
	// Each process has the pools' connections, and connections for health, for [DB.Listen]
	// and for each pool's cancel of late statements.
	// Default 1. Variable DB_REPLICAS_OF_APP.
	ReplicasOfApp int

	// IdleTimeout is the time after which the pool closes an idle connection above
	// PoolMin. Default 30 s. Variable DB_IDLE_TIMEOUT_MS.
	IdleTimeout time.Duration

	// ConnectionTimeout is the longest wait of a caller for a connection, beside the
	// deadline of the caller's context. Opening one connection may take half of
	// ConnectionTimeout for each host, and at least 2 s.
	// Default 10 s. Variable DB_CONNECTION_TIMEOUT_MS.
	ConnectionTimeout time.Duration

	// ServerWaitFraction is the fraction, from 0 to 1, of a caller's time for which the
	// caller waits while the server can't be reached. The caller's time is
	// ConnectionTimeout, or the time until the deadline of the caller's context if
	// shorter. Then the call fails with [ErrServerAway]. A negative value, in the
	// environment 0, fails the call at once.
	// Default 1. Variable DB_SERVER_WAIT_FRACTION.
	ServerWaitFraction float64

	// QueueMax is the number of callers that may wait for a connection. A further caller
	// fails at once with [ErrQueueFull], unless no other caller of the same client waits.
	// 0 sets no limit. Default 0. Variable DB_QUEUE_MAX.
	QueueMax int

	// QueueTarget is the longest wait for a connection that callers of a client should
	// have. The pool sheds a client's waiters if the shortest wait of a whole QueueInterval
	// is longer: the waiters fail with [ErrQueueShed] after twice QueueTarget. Shedding ends
	// when the shortest wait of an interval is within QueueTarget again. 0 sheds no waiter.
	// Default 0. Variable DB_QUEUE_TARGET_MS.
	QueueTarget time.Duration

	// QueueInterval is the time over which QueueTarget judges the waits.
	// Default 1 s. Variable DB_QUEUE_INTERVAL_MS.
	QueueInterval time.Duration

	// StatementTimeout is the server's statement_timeout. A negative value sets no
	// limit; [LeftToServer], in the environment server, leaves the limit to the server.
	// Default 30 s. Variable DB_STATEMENT_TIMEOUT_MS.
	StatementTimeout time.Duration

	// LockTimeout is the server's lock_timeout. A negative value sets no limit;
	// [LeftToServer], in the environment server, leaves the limit to the server.
	// Default 10 s. Variable DB_LOCK_TIMEOUT_MS.
	LockTimeout time.Duration

	// IdleInTransactionTimeout is the server's idle_in_transaction_session_timeout. A
	// negative value sets no limit; [LeftToServer], in the environment server, leaves
	// the limit to the server. A job queue that holds a transaction for a whole job needs a
	// limit above the longest job, or the queue runs the job again.
	// Default 60 s. Variable DB_IDLE_IN_TX_TIMEOUT_MS.
	IdleInTransactionTimeout time.Duration

	// TransactionTimeout is the longest time of a transaction of Begin, InTx and
	// Batch.BeginTx (transaction_timeout): the server then ends the transaction and the
	// connection. Servers before PostgreSQL 17 have no such limit. 0 sets no limit.
	// Default 0. Variable DB_TRANSACTION_TIMEOUT_MS.
	TransactionTimeout time.Duration

	// MaxLifetime is the age at which the pool replaces a connection, plus a random
	// extra of at most 10 %. A negative value means never.
	// Default 30 min. Variable DB_MAX_LIFETIME_MS.
	MaxLifetime time.Duration

	// StopDelay is the time for which a stop serves on with readiness off, before the first
	// OnStop hook runs and the drain begins. The delay takes at most half of the stop's time.
	// 0 sets no delay. Default 0. Variable DB_STOP_DELAY_MS.
	StopDelay time.Duration

	// DrainTimeout is the longest wait of a stop for work in flight. In an fx
	// application the wait is at most three quarters of fx's stop time.
	// Default 10 s. Variable DB_DRAIN_TIMEOUT_MS.
	DrainTimeout time.Duration

	// LeakThreshold is the time after which the pool logs a held connection with its
	// holder. A negative value means never. Default 60 s. Variable DB_LEAK_THRESHOLD_MS.
	LeakThreshold time.Duration

	// CallSites makes errors and log lines name the call site of every holder, at about a
	// microsecond per acquire. By default the pool knows the call site of some acquires: the
	// first 64 of every 50 ms, one in 256 of the others, and an acquire of the last
	// connection. Default false. Variable DB_CALL_SITES.
	CallSites bool

	// SlowQuery is the duration above which the pool logs a statement, without its
	// arguments. The duration ends when the caller closes the rows. A negative value
	// means never. Default 1 s. Variable DB_SLOW_QUERY_MS.
	SlowQuery time.Duration

	// NestedAcquire says how the pool treats a nested acquire: a goroutine asks for a second
	// connection while its own transaction or rows hold a connection. Nested acquires
	// deadlock a full pool. Strict fails the second acquire with
	// [ErrNestedAcquire] and costs microseconds; warn samples acquires and logs each
	// client once; off does nothing. Default warn. Variable DB_NESTED_ACQUIRE.
	NestedAcquire NestedMode

	// Sharing says how clients share the pool: on queues clients by their weights and
	// limits, dry-run only counts the waits that on would cause, and off ignores all
	// limits. Default on. Variable DB_SHARING.
	Sharing SharingMode

	// TenantMaxFraction is the largest fraction of the pool, from 0 to 1, that one tenant
	// may hold at once. 0 sets no limit. Default 0. Variable DB_TENANT_MAX_FRACTION.
	TenantMaxFraction float64

	// ApplicationName is the application_name in pg_stat_activity.
	// Default the program's name. Variable DB_APPLICATION_NAME.
	ApplicationName string

	// Start says how the start treats a server that does not answer: [StartRequire] (the
	// start fails), [StartWait] (the start retries within its time) or [StartDegrade] (the
	// pool connects in the background). Default require. Variable DB_START.
	Start StartMode

	// Migrate applies the contributed migrations at start, under a lock.
	// Default false. Variable DB_MIGRATE.
	Migrate bool

	// MigrateURL is a connection string of the role that migrates. MigrateURL takes the
	// pool's hosts, database and client certificate if the string has none, and the pool's
	// sslmode and sslrootcert if the string has neither. If the string has several hosts, the migrations run
	// on the host that is the primary.
	// Default the pool's own login. Variable DB_MIGRATE_URL.
	MigrateURL string

	// MigrateLockTimeout is the lock_timeout of migrations that run in a transaction. A
	// negative value sets no limit; migrations with NO TRANSACTION have no limit.
	// Default the value of MigrateURL, of its role or of its database, else LockTimeout.
	// Variable DB_MIGRATE_LOCK_TIMEOUT_MS.
	MigrateLockTimeout time.Duration

	// TenantRole is a role that every statement takes for its transaction, with a tenant
	// or without, so that a privileged login still meets the policies.
	// Default none. Variable DB_TENANT_ROLE.
	TenantRole string

	// VerifyTenancy runs [rls.Verify] at start, after the migrations: off, warn (the start
	// logs the findings) or require (a finding of level error fails the start).
	// Default off, and warn under devdb.Module and testkit.Swap. Variable DB_VERIFY_TENANCY.
	VerifyTenancy VerifyMode

	// SessionCheck looks, after each use of a connection, for remains that no text shows: of
	// a function, a trigger, an operator or a view. The check finds a set role, search_path
	// or app.current_*, a temporary object, a prepared statement, a cursor WITH HOLD and a
	// channel. The pool closes a connection with more remains than a new connection, and
	// releases the session's advisory locks. The caller does not wait for the check; each use
	// costs the server a query of the catalogs. A transaction pooler (Pooler) refuses
	// SessionCheck.
	// Default false, and true under testkit, except in benchmarks. Variable DB_SESSION_CHECK.
	SessionCheck bool

	// Pooler names the pooler between the pool and the server: none, or transaction for
	// PgBouncer in transaction mode and similar poolers.
	// Default none. Variable DB_POOLER.
	Pooler PoolerMode

	// Dedicated lists clients that get a pool of their own, each as name or
	// name=connections. Without a number a dedicated pool has PoolMax connections.
	// Default none. Variable DB_DEDICATED.
	Dedicated []string

	// pool is the name that ModuleNamed gave the pool, and empty for Module's pool.
	pool string
	// misspelt are variables that are close to a setting's name, for the log.
	misspelt []misspelling
	// unasked reports that VerifyTenancy is warn because the database is a throwaway database.
	unasked bool
	// filled marks the fields that nobody set.
	filled filled
	// pooledTimeouts are the timeouts that a pooler refuses at connect, and that travel with
	// each transaction.
	pooledTimeouts []param
}

// filled holds the defaults that withDefaults has filled in. A field that is equal to
// its mark is one that nobody set.
type filled struct {
	host, sslmode, application string
	verify                     VerifyMode
	port                       int
	statement, lock, idleInTxn time.Duration
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
	set(&c.ServerWaitFraction, 1)
	set(&c.QueueInterval, lifecycle.DefaultQueueInterval)
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
	set(&c.NestedAcquire, NestedWarn)
	fill(&c.VerifyTenancy, &c.filled.verify, VerifyOff)
	set(&c.Pooler, PoolerNone)
	set(&c.Sharing, SharingOn)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// fill is [set] with a mark: the mark remembers the value that fill has set.
func fill[T comparable](field, mark *T, value T) {
	var zero T
	if *field == zero {
		*field, *mark = value, value
	}
}
