// Package fxdbprom tells Prometheus about a onepool pool: what it has, who holds
// it, who waits for it and for how long.
//
// In an fx application add Module beside fxdb.Module; without fx call Register.
// The metrics stay until the pool has drained. Nothing stays in the registry after that, and
// nothing keeps the pool alive.
//
// rules.yml beside this file holds alerts to copy, and dashboard.json a Grafana dashboard.
//
// # Metrics
//
//	onepool_connections_max                           gauge      connections at most
//	onepool_connections                               gauge      connections: idle, active, and being opened
//	onepool_connections_idle                          gauge      connections that nobody holds
//	onepool_connections_active                        gauge      connections that somebody holds
//	onepool_acquires_waiting                          gauge      callers that wait for a connection
//	onepool_client_connections_held{client}           gauge      connections that this client holds
//	onepool_client_connections_held_too_long{client}  gauge      connections that this client has held for longer than DB_LEAK_THRESHOLD_MS
//	onepool_client_longest_hold_seconds{client}       gauge      age of the client's oldest hold; a wait for notifications does not count
//	onepool_client_acquires_waiting{client}           gauge      callers of this client that wait
//	onepool_client_acquires_would_wait_total{client}  counter    acquires of this client that would have waited, where DB_SHARING is dry-run
//	onepool_client_system_uses_total{client}          counter    uses of this client outside any tenant, by tenant.System
//	onepool_client_nested_acquires_total{client}      counter    acquires by a goroutine that held a connection already, as far as DB_NESTED_ACQUIRE finds them
//	onepool_client_slow_statements_total{client}      counter    statements that took longer than DB_SLOW_QUERY_MS
//	onepool_client_retries_total{client,sqlstate}     counter    repeated statements and transactions, by the SQLSTATE of the failed attempt
//	onepool_status{status}                            gauge      1 for what it is of healthy, degraded, unhealthy; else 0
//	onepool_reachable                                 gauge      1 if the server answers, however busy the pool is; else 0
//	onepool_draining                                  gauge      1 from the beginning of a stop; else 0
//	onepool_resets_total                              counter    resets of the pool because its server went away or became read-only
//	onepool_acquires_total{client,result}             counter    acquires that ended
//	onepool_connections_opened_total                  counter    connections opened
//	onepool_connections_closed_total{reason}          counter    connections closed: idle, lifetime, other
//	onepool_connect_failures_total{client}            counter    attempts to open a connection that failed
//	onepool_acquire_wait_seconds{client}              histogram  wait of each acquire, whatever came of it; 0 where nobody waited
//	onepool_connection_hold_seconds{client}           histogram  from an acquire to its release
//	onepool_connect_seconds{client}                   histogram  time to open a connection
//	onepool_statement_seconds{client}                 histogram  time of each statement, batch and COPY, until its rows are closed
//	onepool_statement_errors_total{client,sqlstate}   counter    statements, batches and COPYs that failed
//
// And with TenantsModule or RegisterTenants, for each of at least 1024 tenants:
//
//	onepool_tenant_connections_held{tenant}               gauge    connections that the tenant's work holds
//	onepool_tenant_acquires_waiting{tenant}               gauge    callers with the tenant that wait
//	onepool_tenant_acquires_total{tenant}                 counter  connections that it got
//	onepool_tenant_acquires_refused_total{tenant}         counter  waits that ended without one
//	onepool_tenant_acquire_wait_seconds_total{tenant}     counter  time waited
//	onepool_tenant_connection_hold_seconds_total{tenant}  counter  time held, of holds that are over
//
// Every series has the label pool, "application@host:port/database", so that
// several pools fit into one registry. A pool of DB_DEDICATED is
// "application/client@host:port/database", and has all of its client's series. Two
// pools of one application on one database are told apart with
// prometheus.WrapRegistererWith.
//
// client is the name given with fxdb.Client or Named. "app" is the handle that
// nobody named, "raw pool" uses of the *pgxpool.Pool, "start" the pool's first
// connections, "pool" the connections that it opens later to keep its minimum.
//
// result is ok, timeout (DB_CONNECTION_TIMEOUT_MS ran out), queue_full
// (DB_QUEUE_MAX), canceled (the caller's own context ended) or error (the server
// can't be reached, or the pool is stopping). What fails before it asks for a
// connection is not counted: a use before the start, a missing tenant.
//
// sqlstate is the SQLSTATE of a server's error. Of an error that is not the server's it is the
// word of [lifecycle.ErrorClass]: canceled, deadline_exceeded, connection, other. Of a retry
// it is none if the connection broke without a word of the server.
//
// A scrape asks the server of an idle pool whether the server is there, for half a second at
// most.
//
// reason other is all that is neither idle nor lifetime: broken connections,
// those left in a transaction, and those of a pool that was reset.
package fxdbprom
