package fxdb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestBeginTravelsWithTheFirstStatement(t *testing.T) {
	t.Parallel()
	first := map[string]func(ctx context.Context, tx pgx.Tx) error{
		"Exec": func(ctx context.Context, tx pgx.Tx) error { _, err := tx.Exec(ctx, "select 1"); return err },
		"Exec with parameters": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select $1::int", 1)
			return err
		},
		"Query": func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, "select $1::int", 1)
			if err == nil {
				_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
			}
			return err
		},
		"QueryRow": func(ctx context.Context, tx pgx.Tx) error {
			var n int
			return tx.QueryRow(ctx, "select $1::int", 1).Scan(&n)
		},
	}
	w := newWire(t, 0)
	db := w.open(t)
	reports := db.Named("reports", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: patience}))
	in := func(ctx context.Context, db *fxdb.DB, fn func(ctx context.Context, tx pgx.Tx) error) func() error {
		return func() error { return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return fn(ctx, tx) }) }
	}
	for name, fn := range first {
		for who, use := range map[string]func() error{
			"nobody": in(within(t), db, fn), "a tenant": in(as(t, "acme"), db, fn), "a client with limits": in(within(t), reports, fn),
		} {
			require.NoError(t, use(), "%s of %s", name, who) // prepares
			require.EqualValues(t, 2, w.during(t, use), "flights of %s of %s", name, who)
		}
	}
	nothing := func(context.Context, pgx.Tx) error { return nil }
	require.Zero(t, w.during(t, in(as(t, "acme"), db, nothing)), "a transaction that sends nothing")
	require.Zero(t, w.during(t, func() error {
		tx, err := db.Begin(as(t, "acme"))
		if err == nil {
			err = tx.Rollback(t.Context())
		}
		return err
	}), "a rollback of nothing")
}

func TestTheOptionsOfATransactionHoldForTheFirstStatement(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	plain := plainPool(t, db)
	const state = `select current_setting('transaction_isolation') || ' ' || current_setting('transaction_read_only') || ' ' ||
		current_setting('transaction_deferrable')`
	for _, opts := range []pgx.TxOptions{
		{}, {IsoLevel: pgx.Serializable}, {AccessMode: pgx.ReadOnly},
		{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable},
	} {
		ask := func(db beginner, ctx context.Context) (got string) {
			tx, err := db.BeginTx(ctx, opts)
			require.NoError(t, err)
			defer func() { require.NoError(t, tx.Rollback(ctx)) }()
			require.NoError(t, tx.QueryRow(ctx, state).Scan(&got))
			return got
		}
		want := ask(plain, within(t))
		require.Equal(t, want, ask(db, within(t)), "%+v", opts)
		require.Equal(t, want, ask(db, as(t, "acme")), "%+v with a tenant", opts)
	}
}

// What follows the first statement's failure is pgx's: the control is a plain pool.
func TestAFailedFirstStatementLeavesWhatPgxLeaves(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	plain := plainPool(t, db)
	type step = func(ctx context.Context, tx pgx.Tx) error
	exec := func(sql string, args ...any) step {
		return func(ctx context.Context, tx pgx.Tx) error { _, err := tx.Exec(ctx, sql, args...); return err }
	}
	scan := func(sql string, args ...any) step {
		return func(ctx context.Context, tx pgx.Tx) error {
			var n int
			return tx.QueryRow(ctx, sql, args...).Scan(&n)
		}
	}
	query := func(sql string, args ...any) step {
		return func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, sql, args...)
			if err == nil {
				rows.Close()
				err = rows.Err()
			}
			return err
		}
	}
	for name, first := range map[string]step{
		"an error at run time":          exec("select 1/0"),
		"the same with a parameter":     exec("select 1/($1::int-1)", 1),
		"the same by Query":             query("select 1/($1::int-1)", 1),
		"the same by QueryRow":          scan("select 1/($1::int-1)", 1),
		"a table that is not there":     exec("select * from notes.missing"),
		"the same with a parameter too": query("select * from notes.missing where id = $1", 1),
		"a typo":                        scan("selct 1"),
		"a parameter too many":          query("select 1", 7),
		"a value that can't be encoded": exec("select $1::int", "seven"),
		"no row":                        scan("select 1 where false"),
		"an empty text":                 exec(""),
		"several statements":            exec("select 1; select 1/0"),
		"a text that commits":           exec("commit"),
		"a row that can't be scanned":   scan("select 'x'::text"),
		"a copy":                        exec("copy notes.plain to stdout"),
	} {
		type outcome struct{ first, then, commit string }
		run := func(db beginner, ctx context.Context) (o outcome) {
			tx, err := db.BeginTx(ctx, pgx.TxOptions{})
			require.NoError(t, err)
			defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
			o.first = outcomeOf(first(ctx, tx))
			o.then = outcomeOf(exec("select 1")(ctx, tx))
			o.commit = outcomeOf(tx.Commit(ctx))
			return o
		}
		want := run(plain, within(t))
		require.Equal(t, want, run(db, within(t)), name)
		if name != "a text that commits" { // a ScopeError
			require.Equal(t, want, run(db, as(t, "acme")), "%s, with a tenant", name)
		}
		require.NoError(t, db.Ping(within(t)), name)
	}
}

// outcomeOf is an error without what differs from run to run.
func outcomeOf(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, pgx.ErrTxClosed), errors.Is(err, pgx.ErrTxCommitRollback), errors.Is(err, pgx.ErrNoRows):
		return err.Error()
	}
	return codeOf(err)
}

func TestTheErrorOfBeginIsTheFirstStatements(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	before := backendOf(t, db)
	for who, ctx := range map[string]context.Context{"nobody": within(t), "a tenant": as(t, "acme")} {
		tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: "quite isolated"})
		require.NoError(t, err, who)
		_, err = tx.Exec(ctx, "select 1")
		require.Equal(t, "42601", codeOf(err), who)
		_, err = tx.Exec(ctx, "select 1")
		require.ErrorIs(t, err, pgx.ErrTxClosed, "%s: a statement ran outside of the transaction", who)
		require.ErrorIs(t, tx.Commit(ctx), pgx.ErrTxClosed, who)
		require.Equal(t, before, backendOf(t, db), "%s: the connection was closed", who)
	}
	tx, err := db.BeginTx(within(t), pgx.TxOptions{IsoLevel: "quite isolated"})
	require.NoError(t, err)
	_, err = tx.Conn().Exec(within(t), "select 1")
	require.Error(t, err, "a statement ran outside of the transaction")
	_ = tx.Rollback(within(t))
}

func TestWhatNeedsTheTransactionSendsBegin(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	inBlock := func(conn *pgx.Conn) byte { return conn.PgConn().TxStatus() }
	for name, use := range map[string]func(ctx context.Context, tx pgx.Tx) error{
		"Conn": func(_ context.Context, tx pgx.Tx) error { tx.Conn(); return nil },
		"Prepare": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Prepare(ctx, "one", "select 1")
			return err
		},
		"SendBatch": func(ctx context.Context, tx pgx.Tx) error { return batchOf(ctx, tx, "select 1") },
		"Begin": func(ctx context.Context, tx pgx.Tx) error {
			sp, err := tx.Begin(ctx)
			if err == nil {
				err = sp.Commit(ctx)
			}
			return err
		},
		"CopyFrom": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{"notes", "plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{7}}))
			return err
		},
		"LargeObjects": func(ctx context.Context, tx pgx.Tx) error {
			lo := tx.LargeObjects()
			_, err := lo.Create(ctx, 0)
			return err
		},
		"LargeObjects behind a statement": func(ctx context.Context, tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "select 1"); err != nil {
				return err
			}
			lo := tx.LargeObjects()
			_, err := lo.Create(ctx, 0)
			return err
		},
	} {
		for who, ctx := range map[string]context.Context{"nobody": within(t), "a tenant": as(t, "acme")} {
			tx, err := db.Begin(ctx)
			require.NoError(t, err)
			require.NoError(t, use(ctx, tx), "%s of %s", name, who)
			require.Equal(t, byte('T'), inBlock(tx.Conn()), "%s of %s", name, who)
			require.NoError(t, tx.Rollback(ctx))
		}
	}
}

func TestSavepointsBehindTheFirstFlight(t *testing.T) {
	t.Parallel()
	db := notesDB(t)
	ctx := within(t)
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into notes.plain values (1, 'one')"); err != nil {
			return err
		}
		err := pgx.BeginFunc(ctx, tx, func(sp pgx.Tx) error {
			_, err := sp.Exec(ctx, "insert into notes.plain values (2, 'undone')")
			require.NoError(t, err)
			return errors.New("undo")
		})
		require.EqualError(t, err, "undo")
		return pgx.BeginFunc(ctx, tx, func(sp pgx.Tx) error {
			return pgx.BeginFunc(ctx, sp, func(inner pgx.Tx) error {
				_, err := inner.Exec(ctx, "insert into notes.plain values (3, 'three')")
				return err
			})
		})
	}))
	var kept []int
	rows, err := db.Query(ctx, "select id from notes.plain order by id")
	require.NoError(t, err)
	kept, err = pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(t, err)
	require.Equal(t, []int{1, 3}, kept)
}

func TestARowThatNobodyScansFailsTheCommit(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	for name, db := range map[string]beginner{"pgxpool": plainPool(t, db), "fxdb": db} {
		tx, err := db.BeginTx(within(t), pgx.TxOptions{})
		require.NoError(t, err)
		tx.QueryRow(within(t), "select 1")
		require.Error(t, tx.Commit(within(t)), name)
	}
	require.NoError(t, db.Ping(within(t)))
}

func TestARowThatIsScannedAfterItsTransactionFails(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	for name, use := range map[string]beginner{"pgxpool": plainPool(t, db), "fxdb": db} {
		tx, err := use.BeginTx(within(t), pgx.TxOptions{})
		require.NoError(t, err)
		row := tx.QueryRow(within(t), "select 1")
		_ = tx.Rollback(within(t))
		var n int
		require.Error(t, row.Scan(&n), name)
	}
	require.NoError(t, db.Ping(within(t)))
	require.Eventually(t, func() bool { return db.Stats().Active == 0 }, patience, time.Millisecond, "the late Scan holds a connection")
}

func TestATransactionBeginsElsewhereIfTheServerEndedItsConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	s := pgfault.Start(t)
	db, err := fxdb.Open(within(t), fxdb.Config{URL: s.AppURL(), PoolMin: 1, PoolMax: 1, ApplicationName: "first-flight"})
	require.NoError(t, err)
	defer db.Close(context.Background())
	for name, statement := range map[string]func(ctx context.Context, tx pgx.Tx) error{
		"Exec": func(ctx context.Context, tx pgx.Tx) error { _, err := tx.Exec(ctx, "select 1"); return err },
		"QueryRow": func(ctx context.Context, tx pgx.Tx) error {
			var n int
			return tx.QueryRow(ctx, "select $1::int", 1).Scan(&n)
		},
	} {
		for range 2 { // the second time the statement is prepared
			tx, err := db.Begin(within(t))
			require.NoError(t, err)
			s.TerminateBackends(t, "first-flight")
			require.NoError(t, statement(within(t), tx), name)
			require.NoError(t, tx.Commit(within(t)), name)
		}
	}
}
