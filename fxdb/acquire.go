package fxdb

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/lifecycle"
)

// purpose is the reason of an acquire.
type purpose int

const (
	forCall        purpose = iota // the call itself returns the connection
	forHolding                    // the caller holds the connection after the call, so the pool records the call site
	forTransaction                // the same, for a transaction
)

// acquire takes a connection on behalf of this client for a tenant, which may be empty, within the
// acquire timeout, or within a shorter time if within is not zero.
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
