package fxdb

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/backend"
	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/tenant"
)

// rawSession is the way of a tenant to the raw pool, see RawPoolSession. The pool undoes the
// identity before the next holder gets the connection: no release, panic or lost answer can
// leave the identity to the next holder.
type rawSession struct {
	session scoped.Session // of the identity and DB_TENANT_ROLE
	tenants func()         // notes that the application has tenants
}

// carrySessions makes the raw pool of pc carry identities.
func (c *core) carrySessions(pc *pgxpool.Config) error {
	if c.cfg.pooled() {
		return &ConfigError{Setting: "DB_POOLER", Reason: "transaction keeps no session, and fxdb.RawPool(RawPoolSession) needs a session: leave out the mode, or connect to the server itself"}
	}
	settings := c.newSettings(rootClient, ServerTimeouts{}, 0)
	r := &rawSession{session: settings.Session(), tenants: func() { c.tenants.Store(true) }}
	c.rawAcquire = r.prepare
	if given := pc.PrepareConn; given != nil {
		pc.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (keep bool, err error) {
			defer func() { endSession(conn, err) }()
			return given(ctx, conn)
		}
	}
	tracers := []pgx.QueryTracer{sessionGuard{}}
	if pc.ConnConfig.Tracer != nil {
		tracers = append(tracers, pc.ConnConfig.Tracer)
	}
	pc.ConnConfig.Tracer = multitracer.New(tracers...)
	return nil
}

// sessionIdentityKey finds the identity of a raw connection in pgconn's CustomData.
const sessionIdentityKey = "onepool.session"

// endSession ends the guard of a connection whose acquire failed with err: nobody holds the
// connection.
func endSession(conn *pgx.Conn, err error) {
	if err != nil {
		delete(conn.PgConn().CustomData(), sessionIdentityKey)
	}
}

// prepare sets the identity of ctx for the session. prepare runs for every acquire from the
// pool itself, when the identity of the last holder is undone.
func (r *rawSession) prepare(ctx context.Context, conn *pgx.Conn) (keep bool, err error) {
	defer func() { endSession(conn, err) }()
	id, ok := tenant.FromContext(ctx)
	conn.PgConn().CustomData()[sessionIdentityKey] = id // an empty identity without a tenant
	if !ok {
		return true, nil
	}
	if err := id.Validate(); err != nil {
		return true, err
	}
	r.tenants()
	backend.Of(conn).UndoWith(r.session.Undo) // whatever becomes of the statement
	if _, err := conn.PgConn().ExecParams(ctx, r.session.SQL, r.session.Values(id), nil, nil, nil).Close(); err != nil {
		if conn.IsClosed() && ctx.Err() == nil {
			return false, nil // the pool goes on with the next connection
		}
		return false, fmt.Errorf("set the tenant for the session: %w", err)
	}
	return true, nil
}

// sessionGuard refuses a statement on a raw connection whose context has another tenant or user
// than the session. A library that keeps a connection, as database/sql may, meets the guard.
type sessionGuard struct{}

// TraceRelease ends the guard: the next acquire may ping the connection before the pool undoes
// the identity.
func (sessionGuard) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	delete(data.Conn.PgConn().CustomData(), sessionIdentityKey)
}

func (sessionGuard) check(ctx context.Context, conn *pgx.Conn) context.Context {
	session, raw := conn.PgConn().CustomData()[sessionIdentityKey].(tenant.Identity)
	if !raw {
		return ctx
	}
	if id, ok := tenant.FromContext(ctx); ok && (id.Tenant != session.Tenant || id.User != session.User) {
		return refusedContext{ctx, ErrTenantMismatch}
	}
	return ctx
}

func (g sessionGuard) TraceQueryStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return g.check(ctx, conn)
}

func (sessionGuard) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (g sessionGuard) TraceBatchStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return g.check(ctx, conn)
}

func (sessionGuard) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (sessionGuard) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (g sessionGuard) TraceCopyFromStart(ctx context.Context, conn *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	return g.check(ctx, conn)
}

func (sessionGuard) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}

func (g sessionGuard) TracePrepareStart(ctx context.Context, conn *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	return g.check(ctx, conn)
}

func (sessionGuard) TracePrepareEnd(context.Context, *pgx.Conn, pgx.TracePrepareEndData) {}

// refusedContext has ended with an error of its own: pgx sends nothing with an ended context. A
// tracer has no other way to refuse a statement.
type refusedContext struct {
	context.Context
	err error
}

var ended = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func (c refusedContext) Done() <-chan struct{} { return ended }

func (c refusedContext) Err() error { return c.err }
