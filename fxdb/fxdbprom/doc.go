// Package fxdbprom exports the metrics of a onepool pool to Prometheus: the connections, the
// holders, the waiters, and the time of each wait.
//
// In an fx application, add [Module] beside [fxdb.Module]. Without fx, call [Register]. The
// metrics stay in the registry until the pool has drained. After the drain nothing stays in the
// registry, and nothing keeps the pool alive.
//
// The package's rules.yml holds alerts to copy, and dashboard.json holds a Grafana dashboard.
//
// # Metrics
//
//	onepool_connections_max                           gauge      connections at most
//	onepool_connections                               gauge      connections: idle, active, and being opened
//	onepool_connections_idle                          gauge      connections without a holder
//	onepool_connections_active                        gauge      connections with a holder
//	onepool_acquires_waiting                          gauge      callers waiting for a connection
//	onepool_client_connections_held{client}           gauge      connections held by the client
//	onepool_client_connections_held_too_long{client}  gauge      connections held by the client for longer than DB_LEAK_THRESHOLD_MS
//	onepool_client_longest_hold_seconds{client}       gauge      age of the client's oldest hold; a wait for notifications does not count
//	onepool_client_acquires_waiting{client}           gauge      callers of the client waiting for a connection
//	onepool_client_acquires_would_wait_total{client}  counter    acquires of the client that would have waited, if DB_SHARING is dry-run
//	onepool_client_system_uses_total{client}          counter    uses of the client outside any tenant, by tenant.System
//	onepool_client_nested_acquires_total{client}      counter    acquires by a goroutine already holding a connection, as found by DB_NESTED_ACQUIRE
//	onepool_client_slow_statements_total{client}      counter    statements slower than DB_SLOW_QUERY_MS
//	onepool_client_retries_total{client,sqlstate}     counter    repeated statements and transactions, by the SQLSTATE of the failed attempt
//	onepool_status{status}                            gauge      1 for the pool's status of healthy, degraded, unhealthy; 0 for the remaining two
//	onepool_reachable                                 gauge      1 if the server answers, however busy the pool is; 0 if not
//	onepool_draining                                  gauge      1 from the beginning of a stop; 0 before
//	onepool_resets_total                              counter    resets of the pool because the server went away or became read-only
//	onepool_acquires_total{client,result}             counter    ended acquires
//	onepool_connections_opened_total                  counter    connections opened
//	onepool_connections_closed_total{reason}          counter    connections closed: idle, lifetime, other
//	onepool_connect_failures_total{client}            counter    failed attempts to open a connection
//	onepool_acquire_wait_seconds{client}              histogram  wait of each acquire, with any result; 0 without a wait
//	onepool_connection_hold_seconds{client}           histogram  time from an acquire to the release
//	onepool_connect_seconds{client}                   histogram  time to open a connection
//	onepool_statement_seconds{client}                 histogram  time of each statement, batch and COPY, until the rows are closed
//	onepool_statement_errors_total{client,sqlstate}   counter    failed statements, batches and COPYs
//
// [TenantsModule] and [RegisterTenants] add, for each of at least 1024 tenants:
//
//	onepool_tenant_connections_held{tenant}               gauge    connections held by the tenant's work
//	onepool_tenant_acquires_waiting{tenant}               gauge    waiting callers with the tenant
//	onepool_tenant_acquires_total{tenant}                 counter  connections acquired by the tenant's work
//	onepool_tenant_acquires_refused_total{tenant}         counter  waits ended without a connection
//	onepool_tenant_acquire_wait_seconds_total{tenant}     counter  time waited
//	onepool_tenant_connection_hold_seconds_total{tenant}  counter  time held, of ended holds
//
// Every series has the label pool, "application@host:port/database": a registry can hold several
// pools. The label of a pool of DB_DEDICATED is "application/client@host:port/database", and the
// pool has all series of the pool's client. [prometheus.WrapRegistererWith] distinguishes two
// pools of the same application on the same database.
//
// client is the name given with [fxdb.Client], [fxdb.Named] or [fxdb.DB.Named]. "app" is the
// handle without a name. "raw pool" is the uses of the *pgxpool.Pool. "start" is the pool's first
// connections. "pool" is the connections that the pool opens later to keep the minimum.
//
// result is ok, timeout (DB_CONNECTION_TIMEOUT_MS ran out), queue_full (DB_QUEUE_MAX), canceled
// (the caller's own context ended) or error (the pool can't reach the server, or the pool is
// stopping). No result counts a failure before the acquire: a use before the start, a missing
// tenant.
//
// sqlstate is the SQLSTATE of a server's error. For an error from a different source, sqlstate
// is the word of [lifecycle.ErrorClass]: canceled, deadline_exceeded, connection, other. For a
// retry, sqlstate is none if the connection broke without a word of the server.
//
// A scrape probes the server of an idle pool, for half a second at most.
//
// reason other counts each connection closed for neither idle time nor lifetime: broken
// connections, connections left in a transaction, and connections of a reset pool.
package fxdbprom
