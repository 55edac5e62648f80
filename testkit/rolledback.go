package testkit

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
)

// RolledBack begins a transaction as the tenant of ctx, and rolls the transaction back when the
// test ends: subtests of an expensive fixture leave nothing behind. Commit fails the test. The
// transaction holds a connection until the end of the test.
func RolledBack(ctx context.Context, t testing.TB, db *fxdb.DB) pgx.Tx {
	t.Helper()
	tx, err := db.Begin(ctx)
	if err != nil {
		t.Fatalf("testkit: RolledBack: %v", err)
	}
	t.Cleanup(func() {
		// The test's context has ended.
		if err := tx.Rollback(context.WithoutCancel(ctx)); err != nil {
			t.Errorf("testkit: RolledBack: the transaction is over, or was lost: %v", err)
		}
	})
	return uncommitted{tx, t}
}

// uncommitted is a transaction without a commit.
type uncommitted struct {
	pgx.Tx
	t testing.TB
}

func (u uncommitted) Commit(context.Context) error {
	u.t.Helper()
	u.t.Fatalf("testkit: RolledBack: the test committed: begin the transaction with db.Begin to keep the rows")
	return pgx.ErrTxClosed
}
