package store

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
)

// sender is the pool or a transaction on it.
type sender interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// send sends the statements of a call, in a single round trip. After a conflict with other
// transactions (40001, 40P01), and for a read after a broken connection, send retries in InTx,
// which bounds the number and time of the retries. After a missed lock (55P03) send retries
// once. In a transaction that ctx joins, send never retries.
func (db *DB) send(ctx context.Context, read bool, send func(context.Context, sender) error) error {
	ctx = db.scope(ctx)
	tx, err := joined(ctx)
	if err != nil {
		return err
	}
	if tx != nil {
		return send(ctx, tx)
	}
	err = send(ctx, db.DB)
	if err == nil || ctx.Err() != nil || !aborted(err) && (!read || !lost(err)) {
		return err
	}
	if read {
		ctx = fxdb.Idempotent(ctx)
	}
	var none error
	err = db.DB.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		none = nil
		err := send(ctx, tx)
		if errors.Is(err, pgx.ErrNoRows) {
			none, err = err, nil // the absent row is an answer, and the transaction commits
		}
		return err
	})
	return check.First(err, none)
}

// aborted reports whether the server gave up the statement for another transaction or for a
// lock. The statement has changed nothing.
func aborted(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && slices.Contains([]string{"40001", "40P01", "55P03"}, pgErr.Code)
}

// lost reports whether err is the error of a broken connection. A failed wait for a connection
// is no loss: the pool has already waited for as long as allowed.
func lost(err error) bool {
	var acquireErr *fxdb.AcquireError
	return !errors.As(err, &acquireErr) && errors.Is(modules.Classify(err), modules.ErrUnavailable)
}

// reads reports whether a statement changes nothing. A statement that begins with select changes
// nothing, as no client has a function that writes; a common table expression may write.
func reads(sql string) bool {
	sql = strings.ToLower(strings.TrimSpace(sql))
	switch {
	case strings.HasPrefix(sql, "select"):
		return true
	case !strings.HasPrefix(sql, "with"):
		return false
	}
	for _, write := range []string{"insert into", "update ", "update\n", "delete from", "merge into"} {
		if strings.Contains(sql, write) {
			return false
		}
	}
	return true
}

// row sends the statement in Scan.
type row func(dest ...any) error

func (r row) Scan(dest ...any) error { return r(dest...) }

// Batch sends the batch of queue in a single transaction and round trip. Batch calls queue
// again, and the callbacks run again, for every retry.
func Batch(ctx context.Context, db *DB, queue func(*pgx.Batch)) error {
	b := &pgx.Batch{}
	queue(b)
	read := true
	for _, q := range b.QueuedQueries {
		read = read && reads(q.SQL)
	}
	return db.send(ctx, read, func(ctx context.Context, s sender) error {
		b := &pgx.Batch{}
		queue(b)
		return s.SendBatch(ctx, b).Close()
	})
}
