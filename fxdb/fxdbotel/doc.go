// Package fxdbotel traces a onepool pool with OpenTelemetry and gives its
// figures by the semantic conventions' names.
//
// In an fx application add Module beside fxdb.Module. Without fx:
//
//	db, err := fxdb.Open(ctx, cfg, fxdb.WithTracer(fxdbotel.NewTracer(fxdbotel.Config{})))
//	stop, err := fxdbotel.Observe(db, fxdbotel.Config{})
//	defer stop()
//
// # Spans
//
// A span per statement, batch, statement of a batch, COPY, preparation and connect, by the
// semantic conventions for databases, and only beneath a span that is recorded. The name is
// the operation and its tables: "SELECT orders", which db.query.summary repeats. Every span
// has db.namespace, server.address, the pool's name, onepool.client and, where the context
// has one, onepool.tenant.
//
//   - db.query.text has a question mark for each string and number, and no comment. A text
//     that the lexer can't read is left out, and all are with Config.HideStatements.
//   - No parameter is recorded, nor a text of an error that could quote one: an
//     error of the server is its SQLSTATE and the constraint's name.
//     Config.RecordValues changes that.
//   - error.type is the SQLSTATE, or the word of [lifecycle.ErrorClass].
//   - A statement with a tenant in its context is one span, though it travels as
//     a batch with the tenant's settings before it.
//   - Each attempt of InTx is a span, "transaction" with onepool.tx.attempt, around the
//     spans of its statements.
//   - An acquire has a span, "acquire connection", where it took a millisecond, opened a
//     connection or failed. While the server is away it opens connections again and
//     again: the first attempt and the last are spans, and onepool.connect.attempts
//     counts all.
//
// The pool's log lines about one caller have trace_id and span_id.
//
// # Metrics
//
//	db.client.connection.count             {state idle or used}  connections; used by client
//	db.client.connection.max                                     connections at most
//	db.client.connection.idle.min                                DB_POOL_MIN
//	db.client.connection.pending_requests                        callers that wait, by client
//	db.client.connection.timeouts                                DB_CONNECTION_TIMEOUT_MS ran out, by client
//	db.client.connection.create_time       histogram, seconds    by client
//	db.client.connection.wait_time         histogram, seconds    by client; 0 where nobody waited
//	db.client.connection.use_time          histogram, seconds    by client
//	db.client.operation.duration           histogram, seconds    by operation, client, server, database and error.type
//	onepool.client.connection.would_wait   counter               acquires that would have waited, where DB_SHARING is dry-run, by client
//	onepool.client.system_uses             counter               uses outside any tenant, by tenant.System, by client
//	onepool.reachable                      gauge                 1 if the server answers, however busy the pool is; else 0
//	onepool.draining                       gauge                 1 from the beginning of a stop; else 0
//	onepool.resets                         counter               resets of the pool because its server went away
//	onepool.client.connection.held_too_long                      connections held for longer than DB_LEAK_THRESHOLD_MS, by client
//	onepool.client.connection.longest_hold gauge, seconds        age of the oldest hold, by client
//	onepool.client.nested_acquires         counter               acquires by a goroutine that held a connection already, by client
//	onepool.client.slow_statements         counter               statements that took longer than DB_SLOW_QUERY_MS, by client
//	onepool.client.retries                 counter               repeated attempts, by client and error.type
//
// With Config.Tenants, by onepool.tenant:
//
//	onepool.tenant.connection.count             connections that the tenant's work holds
//	onepool.tenant.connection.pending_requests  callers with the tenant that wait
//	onepool.tenant.connection.acquires          counter: connections that it got
//	onepool.tenant.connection.refused           counter: waits that ended without one
//	onepool.tenant.connection.wait_time         counter, seconds: time waited
//	onepool.tenant.connection.use_time          counter, seconds: time held, of holds that are over
//
// All have db.client.connection.pool.name, which is
// "application@host:port/database", for a pool of DB_DEDICATED
// "application/client@host:port/database", and where it says by client the attribute
// onepool.client: the name given with fxdb.Client or Named. "app" is the handle
// that nobody named, "raw pool" uses of the *pgxpool.Pool, "start" the pool's
// first connections. Connections that the pool opens by itself, and callers of
// the raw pool that wait, have no client.
//
// create_time, wait_time and operation.duration have error.type where they ended in an
// error. A collection asks the server of an idle pool whether the server is there.
//
// The end of the drain unregisters what is observed, and nothing keeps the pool alive. What a
// histogram has counted stays with the MeterProvider, as the API has no way to
// take it back: a reader of cumulative figures goes on exporting the last ones.
package fxdbotel
