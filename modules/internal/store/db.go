// Package store is the clients' way to the pool: the handle with the default tenant, the statements
// and their retries, lists that end after a number of bytes, and the check of a client's schema.
package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// DB is a client's handle on the pool. The methods of DB, and [One], [Many] and [Value], use the
// default tenant if a context has neither an identity nor tenant.System.
type DB struct {
	*fxdb.DB
	tenant string
}

// New returns the handle of the given client. An empty default tenant means no default tenant;
// an invalid default tenant and a nil db are errors. A statement timeout of 0 is the pool's
// timeout, a negative timeout is none. For a client with a timeout of its own New calls
// db.Named(client): see [fxdb.DB.Named] for a db that a module with a different name has named.
func New(client string, db *fxdb.DB, defaultTenant string, statementTimeout time.Duration) (*DB, error) {
	if db == nil {
		return nil, fmt.Errorf("%s: Params.DB is nil: give it a *fxdb.DB", client)
	}
	if defaultTenant != "" {
		if err := (tenant.Identity{Tenant: defaultTenant}).Validate(); err != nil {
			return nil, fmt.Errorf("%s: Config.DefaultTenant: %w", client, err)
		}
	}
	if statementTimeout != 0 {
		db = db.Named(client, fxdb.Timeouts(fxdb.ServerTimeouts{Statement: statementTimeout}))
	}
	return &DB{db, defaultTenant}, nil
}

// Tenant returns the tenant of a call with ctx, or an empty string without a tenant.
func (db *DB) Tenant(ctx context.Context) string {
	id, _ := tenant.FromContext(db.scope(ctx))
	return id.Tenant
}

func (db *DB) scope(ctx context.Context) context.Context {
	_, scoped := tenant.FromContext(ctx)
	_, system := tenant.SystemReason(ctx)
	if db.tenant == "" || scoped || system {
		return ctx
	}
	return tenant.NewContext(ctx, tenant.Identity{Tenant: db.tenant})
}

// Exec is [fxdb.DB.Exec] for the tenant or the default tenant. Exec retries after a conflict
// with other transactions.
func (db *DB) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	err = db.send(ctx, reads(sql), func(ctx context.Context, s sender) (err error) {
		tag, err = s.Exec(ctx, sql, args...)
		return err
	})
	return tag, err
}

// Query is [fxdb.DB.Query] for the tenant or the default tenant. A read survives the loss of the
// connection until the first row.
func (db *DB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	ctx = db.scope(ctx)
	if tx, err := joined(ctx); err != nil || tx != nil {
		if err != nil {
			return nil, err
		}
		return tx.Query(ctx, sql, args...)
	}
	if reads(sql) {
		ctx = fxdb.Idempotent(ctx)
	}
	return db.DB.Query(ctx, sql, args...)
}

// QueryRow is [fxdb.DB.QueryRow] for the tenant or the default tenant. Scan sends the statement,
// and retries after a conflict with other transactions and, for a read, after a broken
// connection.
func (db *DB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return row(func(dest ...any) error {
		return db.send(ctx, reads(sql), func(ctx context.Context, s sender) error {
			return s.QueryRow(ctx, sql, args...).Scan(dest...)
		})
	})
}

// SendBatch is [fxdb.DB.SendBatch] for the tenant or the default tenant, without retries.
// [Batch] retries.
func (db *DB) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	ctx = db.scope(ctx)
	tx, err := joined(ctx)
	switch {
	case err != nil:
		return pgx.FailedBatchResults(b, err)
	case tx != nil:
		return tx.SendBatch(ctx, b)
	}
	return db.DB.SendBatch(ctx, b)
}

// InTx is [fxdb.DB.InTx] for the tenant or the default tenant. In a transaction that ctx joins,
// InTx makes a savepoint.
func (db *DB) InTx(ctx context.Context, opts pgx.TxOptions, fn func(pgx.Tx) error) error {
	ctx = db.scope(ctx)
	tx, err := joined(ctx)
	switch {
	case err != nil:
		return err
	case tx != nil:
		return pgx.BeginFunc(ctx, tx, fn)
	}
	return db.DB.InTx(ctx, opts, fn)
}

// Available reports whether a call would reach the database now: the pool has started, no stop
// has begun, and the server answers. Available needs no tenant.
func (db *DB) Available(ctx context.Context) bool { return db.Monitor().Health(ctx).Ready }

// healthTimeout bounds [DB.Probe].
const healthTimeout = 2 * time.Second

// Probe pings through the pool, for 2 s at most, and returns the duration of the ping.
func (db *DB) Probe(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	began := time.Now()
	err := db.Ping(ctx)
	return time.Since(began), err
}
