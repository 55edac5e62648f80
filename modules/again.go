package modules

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/fxdb"
)

// sender is the pool or a transaction on it.
type sender interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// send sends what a call has to send, in one round trip. Where that was in others'
// way (40001, 40P01), or was a read whose connection broke, it is sent again, in
// InTx, which knows how often and how long to try; where it did not get a lock
// (55P03), once more. In a transaction that ctx joins it is sent once.
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
			none, err = err, nil // it is an answer, and what was written is kept
		}
		return err
	})
	return FirstError(err, none)
}

// aborted are the errors of a statement that the server gave up for another's
// sake, or that gave up itself: nothing of it happened.
func aborted(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && slices.Contains([]string{"40001", "40P01", "55P03"}, pgErr.Code)
}

// lost are the errors of a connection that broke. To wait for one is another
// thing, and was done for as long as it may be.
func lost(err error) bool {
	var acquireErr *fxdb.AcquireError
	return !errors.As(err, &acquireErr) && errors.Is(Classify(err), ErrUnavailable)
}

// reads reports whether a statement changes nothing. What begins with select can't,
// as no client has a function that writes; a common table expression may.
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

// row sends its statement when it is scanned.
type row func(dest ...any) error

func (r row) Scan(dest ...any) error { return r(dest...) }

// Batch sends what queue queues in one transaction and one round trip. queue and
// its callbacks run anew where the batch is sent again.
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
