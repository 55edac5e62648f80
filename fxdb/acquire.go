package fxdb

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/lifecycle"
)

// Acquire takes a bare connection, for session features: LISTEN, session locks. The caller
// releases the connection. A bare connection carries no tenant: with an identity in ctx
// Acquire fails with [ErrTenantNotCarried]. A client that requires a tenant needs
// tenant.System. Behind a transaction pooler Acquire fails with [ErrNeedsSession].
//
// The connection has the client's Timeouts, which take a round trip. The pool restores its
// limits before the next holder gets the connection.
//
// The pool closes the connection after a text that is not plain: SET of any setting,
// PREPARE, DDL, CALL, DO, LISTEN, an advisory lock, a temporary table without ON COMMIT
// DROP. A rewriter from outside pgx costs the connection too. The pool does not see texts
// sent by PgConn, nor the statements inside a function.
//
// If a stop cuts the connection off, the holder's statements fail. The holder still
// releases the connection.
func (db *DB) Acquire(ctx context.Context) (*pgxpool.Conn, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return nil, err
	}
	if s.HasTenant() {
		return nil, ErrTenantNotCarried
	}
	if db.core.cfg.pooled() {
		return nil, ErrNeedsSession
	}
	conn, retry, err := db.acquireLimited(ctx, 0)
	if retry {
		return resendFor(ctx, db, err, func(within time.Duration) (*pgxpool.Conn, bool, error) { return db.acquireLimited(ctx, within) })
	}
	return conn, err
}

// acquireLimited acquires a connection and sets the client's limits.
func (db *DB) acquireLimited(ctx context.Context, within time.Duration) (_ *pgxpool.Conn, retry bool, err error) {
	conn, err := db.acquire(ctx, "", forCall, within)
	if err != nil {
		return nil, false, err
	}
	if err = db.holdLimits(ctx, conn.Conn()); err != nil {
		defer conn.Release()
		return nil, mayResend(ctx, conn.Conn(), err, true), err
	}
	return conn, false, nil
}

// purpose is the reason of an acquire.
type purpose int

const (
	forCall        purpose = iota // the call itself returns the connection
	forHolding                    // the caller holds the connection after the call, so the pool records the call site
	forTransaction                // the same, for a transaction
)

// acquire takes a connection on behalf of this client. tenant may be empty. acquire waits for the
// acquire timeout, or for within, if within is not zero and shorter.
func (db *DB) acquire(ctx context.Context, tenant string, p purpose, within time.Duration) (*pgxpool.Conn, error) {
	if err := db.client.optionErr.Load(); err != nil {
		return nil, *err
	}
	conn, err := db.client.monitor.Acquire(ctx, lifecycle.Request{
		Client: db.client.name, Tenant: tenant, Caller: p != forCall, Transaction: p == forTransaction,
		Waiting: &db.client.waiting, Tainted: &db.client.tainted, Timeout: within, Permits: db.client.permits,
	})
	if err != nil {
		return nil, err
	}
	db.client.acquired.Add(1)
	return conn, nil
}
