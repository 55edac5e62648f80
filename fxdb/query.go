package fxdb

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Acquire takes a bare connection, for what needs one: LISTEN, session locks.
// Release it. A bare connection carries no tenant: with an identity in ctx it
// fails with ErrUnscoped, and for a client that requires a tenant it needs
// tenant.System.
//
// A connection that is still out when a stop has cut it off is taken back 200 ms
// later: Release stays safe then, other uses of the handle panic.
func (db *DB) Acquire(ctx context.Context) (*pgxpool.Conn, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return nil, err
	}
	if s.ofTenant() != "" {
		return nil, ErrUnscoped
	}
	return db.acquire(ctx, nil, forCall)
}

// Ping sends an empty statement. It needs no tenant.
func (db *DB) Ping(ctx context.Context) error {
	// An empty statement reads nothing, so a tenant in ctx does not matter.
	conn, err := db.acquire(ctx, nil, forCall)
	if err != nil {
		return err
	}
	defer conn.Release()
	return conn.Ping(ctx)
}

// Exec runs one statement. With an identity in ctx it and the tenant's settings
// are one transaction in one round trip; several statements in one text need
// InTx then.
func (db *DB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	conn, err := db.acquire(ctx, s, forCall)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer conn.Release()
	if s == nil {
		return conn.Exec(ctx, sql, args...)
	}
	br := conn.SendBatch(ctx, s.statement(sql, args))
	_, err = br.Exec()
	var tag pgconn.CommandTag
	if err == nil {
		tag, err = br.Exec()
	}
	// The transaction commits when the batch ends; its failure is the statement's.
	if closeErr := br.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	return tag, nil
}

// Query runs a statement that returns rows. The connection is held until the
// rows are closed or read to their end; check Err after that: with an identity
// in ctx it is there that a failed commit shows.
func (db *DB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return errRows{err}, err
	}
	conn, err := db.acquire(ctx, s, forHolding)
	if err != nil {
		return errRows{err}, err
	}
	if s == nil {
		r, err := conn.Query(ctx, sql, args...)
		if err != nil {
			conn.Release()
			return errRows{err}, err
		}
		return &rows{Rows: r, conn: conn}, nil
	}
	br := conn.SendBatch(ctx, s.statement(sql, args))
	_, err = br.Exec()
	if err == nil {
		var r pgx.Rows
		if r, err = br.Query(); err == nil {
			return &rows{Rows: r, conn: conn, batch: br}, nil
		}
	}
	_ = br.Close() // the first error is the reason
	conn.Release()
	return errRows{err}, err
}

// QueryRow runs a statement that returns at most one row. Call Scan: it gives
// the connection back, and reports every error, pgx.ErrNoRows included.
func (db *DB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return errRow{err}
	}
	conn, err := db.acquire(ctx, s, forCall)
	if err != nil {
		return errRow{err}
	}
	if s == nil {
		return &row{row: conn.QueryRow(ctx, sql, args...), conn: conn}
	}
	return &row{conn: conn, batch: conn.SendBatch(ctx, s.statement(sql, args))}
}

// SendBatch sends the statements of b in one round trip. Close the results:
// that gives the connection back. With an identity in ctx all of b is one
// transaction with the tenant's settings; b itself is not changed.
func (db *DB) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	conn, err := db.acquire(ctx, s, forHolding)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	at := -1
	if s != nil {
		b, at = s.before(b)
	}
	br := conn.SendBatch(ctx, b)
	r := &batchResults{BatchResults: br, conn: conn, scopeAt: at}
	if tx := br.Tx(); tx != nil {
		r.tx = &transaction{Tx: tx, conn: conn}
	}
	return r
}
