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
// Spans are otelpgx's: a client span per statement, batch, copy, prepare and
// connect, named after the SQL operation, and only beneath a span that is
// recorded. What differs for a onepool pool:
//
//   - A statement with a tenant in its context is one span, though it travels as
//     a batch with the tenant's settings before it.
//   - onepool.tenant is the tenant in the statement's context, and onepool.client
//     the client whose connection it runs on.
//   - An acquire has a span of its own, "acquire connection", where it took a
//     millisecond or failed.
//   - No parameter is recorded, nor a text of an error that could quote one: an
//     error of the server is its SQLSTATE and the constraint's name.
//     Config.RecordValues changes that.
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
//	db.client.operation.duration           histogram, seconds    otelpgx's, by kind of operation and client
//	db.client.operation.errors             counter               otelpgx's, by kind of operation and client
//	onepool.client.connection.would_wait   counter               acquires that would have waited, where DB_SHARING is dry-run, by client
//	onepool.client.system_uses             counter               uses outside any tenant, by tenant.System, by client
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
// All but otelpgx's have db.client.connection.pool.name, which is
// "application@host:port/database", for a pool of DB_DEDICATED
// "application/client@host:port/database", and where it says by client the attribute
// onepool.client: the name given with fxdb.Client or Named. "app" is the handle
// that nobody named, "raw pool" uses of the *pgxpool.Pool, "start" the pool's
// first connections. Connections that the pool opens by itself, and callers of
// the raw pool that wait, have no client.
//
// create_time and wait_time have error.type where they ended in an error:
// timeout, queue_full, canceled or error.
//
// A stop unregisters what is observed, and nothing keeps the pool alive. What a
// histogram has counted stays with the MeterProvider, as the API has no way to
// take it back: a reader of cumulative figures goes on exporting the last ones.
package fxdbotel
