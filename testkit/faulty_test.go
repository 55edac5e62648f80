package testkit_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// patience bounds every wait: only a hang breaks the bound.
const patience = time.Minute

func faulty(t *testing.T) (context.Context, *fxdb.DB, *testkit.Network) {
	t.Helper()
	db, network := testkit.Faulty(t, testkit.Migrations("notes", notes))
	ctx, cancel := context.WithTimeout(asTenant(t, "acme"), patience)
	t.Cleanup(cancel)
	return ctx, db, network
}

func count(ctx context.Context, db *fxdb.DB) (n int, err error) {
	err = db.QueryRow(ctx, "select count(*) from notes.notes").Scan(&n)
	return n, err
}

func TestFaultyPassesStatementsOn(t *testing.T) {
	t.Parallel()
	ctx, db, _ := faulty(t)
	_, err := db.Exec(ctx, "insert into notes.notes (body) values ('x')")
	require.NoError(t, err)
	n, err := count(ctx, db)
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestFaultyCutsATransactionAndLetsTheNextPass(t *testing.T) {
	t.Parallel()
	ctx, db, network := faulty(t)
	cut := false
	err := db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "insert into notes.notes (body) values ('x')")
		if err == nil && !cut {
			cut = true
			network.Cut()
			_, err = tx.Exec(ctx, "select 1")
		}
		return err
	})
	require.Error(t, err, "the connection was reset in the middle of the transaction")
	n, err := count(ctx, db)
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestFaultyLosesTheAnswerOfACommit(t *testing.T) {
	t.Parallel()
	ctx, db, network := faulty(t)
	err := db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "insert into notes.notes (body) values ('x')")
		network.LoseAnswer()
		return err
	})
	require.Error(t, err, "the program got no answer to the commit")
	require.Eventually(t, func() bool { n, err := count(ctx, db); return err == nil && n == 1 }, patience, time.Millisecond,
		"the server has committed")
}

// The first statement of a connection is prepared: the answer to the preparation must pass.
func TestFaultyLosesTheAnswerOfANewStatement(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	ctx, db, network := faulty(t)
	for _, round := range []string{"new", "prepared"} {
		before, err := count(ctx, db)
		require.NoError(t, err)
		network.LoseAnswer()
		_, err = db.Exec(ctx, "insert into notes.notes (body) values ($1)", round)
		require.Error(t, err, round)
		require.Eventually(t, func() bool { n, err := count(ctx, db); return err == nil && n == before+1 }, patience, time.Millisecond,
			"the server has run the statement: %s", round)
	}
}

func TestFaultyFreezesAndThaws(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	ctx, db, network := faulty(t)
	network.Freeze()
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err := count(short, db)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	network.Restore()
	_, err = count(ctx, db)
	require.NoError(t, err)
}

func TestFaultyDelaysAnswers(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	ctx, db, network := faulty(t)
	const delay = 100 * time.Millisecond
	network.Delay(delay)
	start := time.Now()
	_, err := count(ctx, db)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(start), delay)
}

func TestFaultyRefusesUntilItIsRestored(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	ctx, db, network := faulty(t)
	network.Refuse()
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err := count(short, db)
	require.Error(t, err)
	network.Restore()
	require.Eventually(t, func() bool { _, err := count(ctx, db); return err == nil }, patience, time.Millisecond)
}

func TestFaultyIsHeardByQueryBudget(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	ctx, db, _ := faulty(t)
	got := &complaints{TB: t}
	testkit.QueryBudget(got, db, 0, func() {
		_, err := count(ctx, db)
		require.NoError(t, err)
	})
	require.Len(t, got.all, 1)
}
