package testkit_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// oneByOne asks for each note in a statement of its own.
func oneByOne(ctx context.Context, t testing.TB, db *fxdb.DB, n int) {
	for range n {
		var count int
		require.NoError(t, db.QueryRow(ctx, "select count(*) from notes.notes where body = $1", "x").Scan(&count))
	}
}

func TestQueryBudgetListsTheQueryOfALoop(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Migrations("notes", notes))
	ctx := asTenant(t, "acme")
	testkit.QueryBudget(t, db, 3, func() { oneByOne(ctx, t, db, 3) })

	got := &complaints{TB: t}
	testkit.QueryBudget(got, db, 3, func() {
		oneByOne(ctx, t, db, 3)
		_, err := db.Exec(ctx, "insert into notes.notes (body) values ('x')")
		require.NoError(t, err)
	})
	require.Len(t, got.all, 1)
	require.Contains(t, got.all[0], "sent 4 statements in 4 round trips")
	require.Contains(t, got.all[0], "the budget is 3 statements")
	lines := strings.Split(got.all[0], "\n")
	require.Contains(t, lines[1], "3 × select count(*) from notes.notes where body = $1")
	require.Contains(t, lines[2], "testkit_test.oneByOne (testkit/querybudget_test.go:")
	require.Contains(t, lines[3], "1 × insert into notes.notes")
}

func TestQueryBudgetCountsBatchesAndTransactions(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Migrations("notes", notes))
	ctx := asTenant(t, "acme")
	got := &complaints{TB: t}
	testkit.QueryBudget(got, db, 0, func() {
		b := &pgx.Batch{}
		for range 3 {
			b.Queue("select count(*) from notes.notes")
		}
		require.NoError(t, db.SendBatch(ctx, b).Close())
	})
	require.Len(t, got.all, 1)
	require.Contains(t, got.all[0], "sent 3 statements in 1 round trips")

	got = &complaints{TB: t}
	testkit.QueryBudget(got, db, 0, func() {
		require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into notes.notes (body) values ('x')")
			return err
		}))
	})
	require.Len(t, got.all, 1)
	// BEGIN travels with the first statement.
	require.Contains(t, got.all[0], "sent 1 statements in 2 round trips")
}

func TestQueryBudgetHearsOneDatabaseUntilTheBlockEnds(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, other := testkit.DB(t, testkit.Migrations("notes", notes)), testkit.DB(t, testkit.Migrations("notes", notes))
	ctx := asTenant(t, "acme")
	testkit.QueryBudget(t, db, 0, func() { oneByOne(ctx, t, other, 2) })
	testkit.QueryBudget(t, db, 1, func() { oneByOne(ctx, t, db, 1) })
	oneByOne(ctx, t, db, 2) // nobody counts these
	testkit.QueryBudget(t, db, 1, func() { oneByOne(ctx, t, db, 1) })
}

func TestQueryBudgetWorksWithSwap(t *testing.T) {
	t.Parallel()
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, testkit.Swap(t), fxdb.Migrations("notes", notes), fx.Populate(&db), fx.NopLogger)
	app.RequireStart()
	defer app.RequireStop()
	got := &complaints{TB: t}
	testkit.QueryBudget(got, db, 1, func() { oneByOne(asTenant(t, "acme"), t, db, 2) })
	require.Len(t, got.all, 1)
	require.Contains(t, got.all[0], "sent 2 statements")
}
