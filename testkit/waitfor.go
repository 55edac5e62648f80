package testkit

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
)

// waitTime bounds a wait without a deadline, and waitPause is the time between two looks.
const (
	waitTime  = time.Minute
	waitPause = 5 * time.Millisecond
)

// WaitFor waits until a statement, whose only column is a boolean, returns true: for the work of
// a goroutine or a different process. WaitFor asks every 5 ms as the tenant of ctx, and holds no
// connection between two looks. WaitFor fails the test at the deadline of ctx, or after a minute.
// A statement without a row counts as false. To wait for a notification call [fxdb.DB.Listen]
// before the work begins, and Next of the subscription.
func WaitFor(ctx context.Context, t testing.TB, db *fxdb.DB, sql string, args ...any) {
	t.Helper()
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, waitTime)
		defer cancel()
	}
	tick := time.NewTicker(waitPause)
	defer tick.Stop()
	for looks := 1; ; looks++ {
		var met bool
		err := db.QueryRow(ctx, sql, args...).Scan(&met)
		switch {
		case met && err == nil:
			return
		case err != nil && !errors.Is(err, pgx.ErrNoRows) && !errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			t.Fatalf("testkit: WaitFor: %s: %v", sql, err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("testkit: WaitFor: not true after %d looks: %s", looks, sql)
		case <-tick.C:
		}
	}
}
