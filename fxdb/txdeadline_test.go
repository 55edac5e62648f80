package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// txSleepers run a statement of a transaction that outlasts its caller's deadline.
var txSleepers = map[string]func(ctx context.Context, tx pgx.Tx) error{
	"Exec": func(ctx context.Context, tx pgx.Tx) error { _, err := tx.Exec(ctx, sleeps); return err },
	"Exec with parameters": func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "select pg_sleep($1)", 60)
		return err
	},
	"Query": func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sleeps)
		if err == nil {
			rows.Close()
			err = rows.Err()
		}
		return err
	},
	"QueryRow": func(ctx context.Context, tx pgx.Tx) error {
		var nothing string
		return tx.QueryRow(ctx, sleeps).Scan(&nothing)
	},
}

func TestTheServerEndsAStatementOfATransactionAtItsDeadline(t *testing.T) {
	t.Parallel()
	for door, sleep := range txSleepers {
		for place, begin := range map[string]func(tx pgx.Tx) (pgx.Tx, error){
			"first":          func(tx pgx.Tx) (pgx.Tx, error) { return tx, nil },
			"later":          func(tx pgx.Tx) (pgx.Tx, error) { _, err := tx.Exec(t.Context(), "select 1"); return tx, err },
			"in a savepoint": func(tx pgx.Tx) (pgx.Tx, error) { return tx.Begin(t.Context()) },
		} {
			t.Run(door+", "+place, func(t *testing.T) {
				t.Parallel()
				db := notesDB(t, testkit.Config(one))
				before := backendOf(t, db)
				for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
					tx, err := db.Begin(ctx)
					require.NoError(t, err)
					inner, err := begin(tx)
					require.NoError(t, err)
					late, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
					defer cancel()
					err = sleep(late, inner)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					var pgErr *pgconn.PgError
					require.ErrorAs(t, err, &pgErr, "the error says that the server ended the statement")
					require.Equal(t, "57014", pgErr.Code)
					if inner != tx { // the savepoint is lost, and the transaction lives
						require.NoError(t, inner.Rollback(t.Context()))
						require.Equal(t, "30s", limitOf(t, tx), "the deadline stayed in the transaction")
						require.NoError(t, tx.Commit(t.Context()))
					} else {
						require.NoError(t, tx.Rollback(t.Context()))
					}
					require.Equal(t, before, backendOf(t, db), "the connection was closed")
					require.Equal(t, "30s", settingOf(t, db, t.Context(), "statement_timeout"), "the deadline stayed on the connection")
				}
			})
		}
	}
}

// limitOf returns the limit that a statement without a deadline finds.
func limitOf(t *testing.T, tx pgx.Tx) (value string) {
	t.Helper()
	require.NoError(t, tx.QueryRow(t.Context(), "select current_setting('statement_timeout')").Scan(&value))
	return value
}

// A deadline holds for one statement, and is no longer than the transaction's own limit.
func TestADeadlineLeavesTheTransactionsLimit(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	soon, cancel := context.WithTimeout(as(t, "acme"), 25*time.Second)
	defer cancel()
	const ask = "select extract(epoch from current_setting('statement_timeout')::interval)::float8"
	require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error {
		seconds := func() (s float64) {
			require.NoError(t, tx.QueryRow(soon, ask).Scan(&s))
			return s
		}
		for range 3 {
			require.Less(t, seconds(), 25.5)
			require.Greater(t, seconds(), 0.0)
			require.Equal(t, "30s", limitOf(t, tx))
		}
		_, err := tx.Exec(soon, "set local statement_timeout = '7s'")
		require.NoError(t, err)
		require.LessOrEqual(t, seconds(), 7.0, "the deadline raised the limit")
		require.Equal(t, "7s", limitOf(t, tx))

		sp, err := tx.Begin(soon)
		require.NoError(t, err)
		_, err = sp.Exec(soon, "select 1/0")
		require.Equal(t, "22012", codeOf(err))
		require.NoError(t, sp.Rollback(soon))
		require.Equal(t, "7s", limitOf(t, tx))
		return nil
	}))
}

func TestADeadlineTakesNoFlightInATransaction(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	db := w.openToCount(t)
	for who, base := range map[string]context.Context{"a tenant": as(t, "acme"), "no tenant": t.Context()} {
		soon, cancel := context.WithTimeout(base, 20*time.Second)
		defer cancel()
		three := func() error {
			return db.InTx(soon, pgx.TxOptions{}, func(tx pgx.Tx) error {
				if _, err := tx.Exec(soon, "select 1"); err != nil {
					return err
				}
				var n int
				if err := tx.QueryRow(soon, "select $1::int", 1).Scan(&n); err != nil {
					return err
				}
				rows, err := tx.Query(soon, "select $1::int + 1", 1)
				if err != nil {
					return err
				}
				_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
				return err
			})
		}
		require.NoError(t, three()) // prepares
		require.EqualValues(t, 4, w.during(t, three), "three statements and COMMIT, with %s", who)
	}
}

func TestATransactionThatHasEndedSendsNoStatementWithADeadline(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	soon, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	tx, err := db.Begin(soon)
	require.NoError(t, err)
	_, err = tx.Exec(soon, "select 1")
	require.NoError(t, err)
	sp, err := tx.Begin(soon)
	require.NoError(t, err)
	require.NoError(t, sp.Commit(soon))
	var n int
	require.ErrorIs(t, sp.QueryRow(soon, "select 1").Scan(&n), pgx.ErrTxClosed)
	require.NoError(t, tx.Commit(soon))
	_, err = tx.Exec(soon, "select 1")
	require.ErrorIs(t, err, pgx.ErrTxClosed)
	_, err = tx.Query(soon, "select 1")
	require.ErrorIs(t, err, pgx.ErrTxClosed)
	require.ErrorIs(t, tx.QueryRow(soon, "select 1").Scan(&n), pgx.ErrTxClosed)
}

// A copy of a tenant is a statement like any other: the deadline reaches the server.
func TestTheServerEndsATenantsCopyAtItsDeadline(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 1, 1 }))
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), `
		create function notes.slow() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return new; end $$;
		create trigger slow before insert on notes.notes for each row when (new.body = 'slow') execute function notes.slow()`)
	require.NoError(t, err)
	copies := func(ctx context.Context, body string) error {
		_, err := db.CopyFrom(ctx, pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows([][]any{{body}}))
		return err
	}
	for range 2 { // the second time the statement is known
		require.NoError(t, copies(as(t, "acme"), "fast"))
		before := backendOf(t, db)
		late, cancel := context.WithTimeout(as(t, "acme"), 200*time.Millisecond)
		defer cancel()
		err = copies(late, "slow")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, before, backendOf(t, db), "the connection was closed: %v", err)
	}
}

func TestAStatementInFrontOfAnUnreadRowLeavesTheRow(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	ctx, cancel := context.WithTimeout(as(t, "acme"), 20*time.Second)
	defer cancel()
	const number, word = "select $1::int", "select $1::text"
	var n int
	var text string
	require.NoError(t, db.QueryRow(ctx, number, 1).Scan(&n)) // prepared
	require.NoError(t, db.QueryRow(ctx, word, "a").Scan(&text))
	tx, err := db.Begin(ctx)
	require.NoError(t, err)
	for place, want := range []int{6, 7} { // behind BEGIN, and later
		unread := tx.QueryRow(ctx, number, want)
		require.ErrorContains(t, tx.QueryRow(ctx, word, "b").Scan(&text), "conn busy")
		_, err = tx.Exec(ctx, word, "b")
		require.ErrorContains(t, err, "conn busy")
		require.NoError(t, unread.Scan(&n), place)
		require.Equal(t, want, n)
	}
	require.NoError(t, tx.Commit(ctx))
	requireClean(t, db)
}
