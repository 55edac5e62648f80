package fxdb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"
)

// AfterCommit has fn run once after the commit of tx: to notify somebody, fill a cache or
// enqueue a job that reads the transaction's rows. The functions of a transaction run in
// the order of the calls, in the goroutine that commits, after the connection went back to
// the pool. ctx has the values of the commit's context, and neither its deadline nor its
// end.
//
// fn does not run after a rollback, after a failed commit, or after the rollback of a
// savepoint (tx.Begin) in which AfterCommit was called. If InTx retries, only the functions
// of the attempt that committed run. If the connection breaks during the commit, the
// outcome is unknown: fn does not run, and the log has an error. The log has a panic of fn
// too; the other functions still run, and Commit returns nil.
//
// AfterCommit fails with a *ForeignTxError for a transaction that fxdb did not begin, and
// with pgx.ErrTxClosed after the end of tx. AfterCommit knows nothing of a SAVEPOINT that a
// text set.
func AfterCommit(tx pgx.Tx, fn func(context.Context)) error {
	t, ok := tx.(*transaction)
	switch {
	case !ok:
		return &ForeignTxError{fmt.Sprintf("%T", tx)}
	case fn == nil:
		return errors.New("fxdb.AfterCommit: the function is nil")
	case t.ended:
		return fmt.Errorf("fxdb.AfterCommit: %w", pgx.ErrTxClosed)
	}
	root := t.root()
	root.after = append(root.after, afterCommit{t, fn})
	return nil
}

// ForeignTxError refuses a transaction that fxdb did not begin, for example the
// transaction of a bare connection.
type ForeignTxError struct {
	Type string // of the transaction
}

// Error names the type, and how to begin a transaction.
func (e *ForeignTxError) Error() string {
	return fmt.Sprintf("fxdb.AfterCommit: fxdb did not begin this transaction, a %s: begin with Begin, BeginTx or InTx of *fxdb.DB", e.Type)
}

// afterCommit is a function, and the transaction or savepoint of the call of AfterCommit.
type afterCommit struct {
	tx *transaction
	fn func(context.Context)
}

// root returns the transaction around all savepoints.
func (t *transaction) root() *transaction {
	for t.outer != nil {
		t = t.outer
	}
	return t
}

// isIn reports whether t is outer, or a savepoint in outer.
func (t *transaction) isIn(outer *transaction) bool {
	for ; t != nil; t = t.outer {
		if t == outer {
			return true
		}
	}
	return false
}

// rolledBack forgets the functions of a transaction or a savepoint.
func (t *transaction) rolledBack() {
	t.ended = true
	root := t.root()
	root.after = slices.DeleteFunc(root.after, func(a afterCommit) bool { return a.tx.isIn(t) })
}

// isOpen reports whether the server still has the transaction open: a text may have ended
// the transaction. isOpen is true without a look at the server if no function waits for
// the commit.
func (t *transaction) isOpen() bool {
	return t.ended || len(t.after) == 0 || t.Tx.Conn().PgConn().TxStatus() == 'T'
}

// committed runs the functions of a transaction whose commit returned err. The functions
// of a savepoint wait for the transaction's commit.
func (t *transaction) committed(ctx context.Context, wasOpen bool, err error) {
	t.ended = true
	if t.outer != nil {
		return
	}
	after := t.after
	t.after = nil
	switch {
	case len(after) == 0:
	case err == nil && wasOpen:
		ctx = context.WithoutCancel(ctx)
		for _, a := range after {
			t.runAfter(ctx, a.fn)
		}
	case err == nil || mayHaveCommitted(err):
		t.db.core.log.Error("the outcome of a commit is unknown: the functions of fxdb.AfterCommit did not run; look for the rows of the transaction",
			zap.String("client", t.db.client.name), zap.Int("functions", len(after)), zap.Error(err))
	}
}

func (t *transaction) runAfter(ctx context.Context, fn func(context.Context)) {
	defer func() {
		if r := recover(); r != nil {
			t.db.core.log.Error("a function of fxdb.AfterCommit panicked: the transaction is committed",
				zap.String("client", t.db.client.name), zap.String("panic", fmt.Sprint(r)), zap.Stack("stack"))
		}
	}()
	fn(ctx)
}

// mayHaveCommitted reports whether a commit that failed may have happened: the answer to a
// sent COMMIT did not come.
func mayHaveCommitted(err error) bool {
	if errors.Is(err, pgx.ErrTxClosed) || errors.Is(err, pgx.ErrTxCommitRollback) || pgconn.SafeToRetry(err) {
		return false
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return true
	}
	idle := pgErr.Code == "25P03" // the server ended the transaction while nothing ran
	return !idle && pgErr.SeverityUnlocalized != "ERROR"
}
