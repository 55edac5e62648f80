// Package fxdbotel traces a onepool pool with OpenTelemetry, and exports the pool's metrics under
// the names of the semantic conventions.
//
// In an fx application, add [Module] beside [fxdb.Module]. Without fx:
//
//	db, err := fxdb.Open(ctx, cfg, fxdb.WithTracer(fxdbotel.NewTracer(fxdbotel.Config{})))
//	stop, err := fxdbotel.Observe(db, fxdbotel.Config{})
//	defer stop()
//
// # Spans
//
// The tracer records a span per statement, batch, statement of a batch, COPY, preparation and
// connect, by the semantic conventions for databases, and only beneath a recorded span. The
// span's name is the operation and the tables: "SELECT orders". db.query.summary repeats the
// name. Every span has db.namespace, server.address, the pool's name, onepool.client and, if the
// context has a tenant, onepool.tenant.
//
//   - server.address is the host that answered, if the connection string has several hosts. If
//     several names have the same port, server.address is the IP address. Without an answer,
//     server.address is the first host.
//   - db.query.text has a question mark for each string and number, and no comment. The tracer
//     leaves out a text that the lexer can't read, and with Config.HideStatements every text.
//   - The tracer records no parameter, and no text of an error that could quote a parameter: a
//     span has the SQLSTATE and the constraint's name of a server's error. Config.RecordValues
//     adds parameters and full texts.
//   - error.type is the SQLSTATE, or the word of [lifecycle.ErrorClass].
//   - A statement with a tenant in the context is a single span, although the statement travels
//     in a batch after the tenant's settings.
//   - Each attempt of [fxdb.DB.InTx] is a span, "transaction" with onepool.tx.attempt, around the
//     spans of the attempt's statements.
//   - An acquire has a span, "acquire connection", if the acquire took a millisecond, opened a
//     connection or failed. While the server is away, the acquire retries the connect: the first
//     attempt and the last attempt are spans, and onepool.connect.attempts counts all attempts.
//
// The pool's log lines about a caller have trace_id and span_id.
//
// # Metrics
//
//	db.client.connection.count             {state idle or used}  connections; used by client
//	db.client.connection.max                                     connections at most
//	db.client.connection.idle.min                                DB_POOL_MIN
//	db.client.connection.pending_requests                        waiting callers, by client
//	db.client.connection.timeouts                                DB_CONNECTION_TIMEOUT_MS ran out, by client
//	db.client.connection.create_time       histogram, seconds    by client
//	db.client.connection.wait_time         histogram, seconds    by client; 0 without a wait
//	db.client.connection.use_time          histogram, seconds    by client
//	db.client.operation.duration           histogram, seconds    by operation, client, server, database and error.type
//	onepool.client.connection.would_wait   counter               acquires that would have waited, if DB_SHARING is dry-run, by client
//	onepool.client.system_uses             counter               uses outside any tenant, by tenant.System, by client
//	onepool.reachable                      gauge                 1 if the server answers, however busy the pool is; 0 if not
//	onepool.draining                       gauge                 1 from the beginning of a stop; 0 before
//	onepool.resets                         counter               resets of the pool because the server went away or became read-only
//	onepool.client.connection.held_too_long                      connections held for longer than DB_LEAK_THRESHOLD_MS, by client
//	onepool.client.connection.longest_hold gauge, seconds        age of the oldest hold, by client
//	onepool.client.nested_acquires         counter               acquires by a goroutine already holding a connection, by client
//	onepool.client.slow_statements         counter               statements slower than DB_SLOW_QUERY_MS, by client
//	onepool.client.retries                 counter               repeated attempts, by client and error.type
//
// With Config.Tenants, by onepool.tenant:
//
//	onepool.tenant.connection.count             connections held by the tenant's work
//	onepool.tenant.connection.pending_requests  waiting callers with the tenant
//	onepool.tenant.connection.acquires          counter: connections acquired by the tenant's work
//	onepool.tenant.connection.refused           counter: waits ended without a connection
//	onepool.tenant.connection.wait_time         counter, seconds: time waited
//	onepool.tenant.connection.use_time          counter, seconds: time held, of ended holds
//
// All metrics have db.client.connection.pool.name: "application@host:port/database", and for a
// pool of DB_DEDICATED "application/client@host:port/database".
//
// A metric by client has onepool.client: the name given with [fxdb.Client], [fxdb.Named] or
// [fxdb.DB.Named]. "app" is the handle without a name. "raw pool" is the uses of the
// [*pgxpool.Pool]. "start" is the pool's first connections. Connections opened by the pool itself,
// and waiting callers of the raw pool, have no client.
//
// create_time, wait_time and operation.duration have error.type after an error. A collection
// probes the server of an idle pool.
//
// The end of the drain unregisters the observed metrics, and nothing keeps the pool alive. The
// counts of a histogram stay with the MeterProvider, because the API has no way to remove counts:
// a reader of cumulative figures goes on exporting the last figures.
package fxdbotel
