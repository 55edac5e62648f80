package fxdb_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// after registers a function that appends name to ran.
func after(t testing.TB, tx pgx.Tx, ran *[]string, name string) {
	t.Helper()
	require.NoError(t, fxdb.AfterCommit(tx, func(context.Context) { *ran = append(*ran, name) }))
}

const insertNote = "insert into notes.notes (body) values ('x')"

func TestAfterCommitRunsWhenTheRowsAreThere(t *testing.T) {
	t.Parallel()
	db := notesDB(t, testkit.Config(one)) // the function needs the transaction's connection
	ctx, cancel := context.WithCancel(as(t, "acme"))
	defer cancel()
	var seen []int
	look := func(after context.Context) {
		cancel()
		require.NoError(t, after.Err(), "the commit's context has ended, and the function goes on")
		id, _ := tenant.FromContext(after)
		require.Equal(t, "acme", id.Tenant)
		var n int
		require.NoError(t, db.QueryRow(after, "select count(*) from notes.notes").Scan(&n))
		seen = append(seen, n)
	}
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		require.NoError(t, fxdb.AfterCommit(tx, look))
		require.NoError(t, fxdb.AfterCommit(tx, look))
		_, err := tx.Exec(ctx, insertNote)
		require.Empty(t, seen)
		return err
	}))
	require.Equal(t, []int{1, 1}, seen)

	tx, err := db.Begin(as(t, "acme"))
	require.NoError(t, err)
	require.NoError(t, fxdb.AfterCommit(tx, look))
	require.NoError(t, tx.Commit(as(t, "acme")))
	require.Len(t, seen, 3)
	require.ErrorIs(t, tx.Commit(as(t, "acme")), pgx.ErrTxClosed)
	require.Len(t, seen, 3, "it ran twice")
	require.ErrorIs(t, fxdb.AfterCommit(tx, look), pgx.ErrTxClosed)
}

func TestAfterCommitDoesNotRunWithoutACommit(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	broken := errors.New("no")
	for name, end := range map[string]func(ctx context.Context, tx pgx.Tx) error{
		"an error": func(context.Context, pgx.Tx) error { return broken },
		"a panic":  func(context.Context, pgx.Tx) error { panic("no") },
		"a constraint at the commit": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into notes.plain values (1, 'a'), (2, 'a')")
			require.NoError(t, err)
			return nil
		},
		"an aborted transaction": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select 1/0")
			require.Error(t, err)
			return nil
		},
		"a rollback": func(ctx context.Context, tx pgx.Tx) error { return errors.Join(tx.Rollback(ctx), broken) },
	} {
		t.Run(name, func(t *testing.T) {
			var ran []string
			ctx := within(t)
			func() {
				defer func() { _ = recover() }()
				require.Error(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
					after(t, tx, &ran, "it")
					return end(ctx, tx)
				}))
			}()
			require.Empty(t, ran)
		})
	}
}

func TestAfterCommitOfASavepoint(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	ctx := within(t)
	var ran []string
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		after(t, tx, &ran, "first")
		begin := func(in pgx.Tx, name string) pgx.Tx {
			sp, err := in.Begin(ctx)
			require.NoError(t, err)
			after(t, sp, &ran, name)
			return sp
		}
		require.NoError(t, begin(tx, "released").Commit(ctx))
		require.NoError(t, begin(tx, "rolled back").Rollback(ctx))
		outer := begin(tx, "rolled back around")
		require.NoError(t, begin(outer, "released inside").Commit(ctx))
		begin(outer, "open inside")
		require.NoError(t, outer.Rollback(ctx))
		begin(tx, "open")
		after(t, tx, &ran, "last")
		require.Empty(t, ran)
		return nil
	}))
	require.Equal(t, []string{"first", "released", "open", "last"}, ran)
}

func TestAfterCommitRunsOnceOverRetries(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	var attempts []string
	ctx := within(t)
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		after(t, tx, &attempts, "committed")
		attempts = append(attempts, "attempt")
		if len(attempts) < 3 {
			_, err := tx.Exec(ctx, "do $$ begin raise exception 'again' using errcode = '40001'; end $$")
			return err
		}
		return nil
	}))
	require.Equal(t, []string{"attempt", "attempt", "attempt", "committed"}, attempts)
}

func TestAPanicAfterTheCommitIsLogged(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.ErrorLevel)
	db := reopen(t, notesDB(t), nil, fxdb.WithLogger(zap.New(core))).Named("orders")
	var ran []string
	require.NoError(t, db.InTx(within(t), pgx.TxOptions{}, func(tx pgx.Tx) error {
		require.NoError(t, fxdb.AfterCommit(tx, func(context.Context) { panic("out of order") }))
		after(t, tx, &ran, "the next")
		return nil
	}))
	require.Equal(t, []string{"the next"}, ran)
	logged := logs.FilterMessageSnippet("AfterCommit panicked").FilterField(zap.String("client", "orders"))
	require.Equal(t, 1, logged.Len())
	require.Equal(t, "out of order", logged.All()[0].ContextMap()["panic"])
}

func TestAfterCommitRefusesATransactionOfOthers(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	ctx := within(t)
	nothing := func(context.Context) {}
	conn, err := db.Acquire(ctx)
	require.NoError(t, err)
	defer conn.Release()
	bare, err := conn.Begin(ctx)
	require.NoError(t, err)
	defer bare.Rollback(ctx)
	raw, err := db.Pool().Begin(ctx)
	require.NoError(t, err)
	defer raw.Rollback(ctx)
	for _, tx := range []pgx.Tx{bare, raw, nil} {
		var foreign *fxdb.ForeignTxError
		require.ErrorAs(t, fxdb.AfterCommit(tx, nothing), &foreign)
	}
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		require.ErrorContains(t, fxdb.AfterCommit(tx, nil), "the function is nil")
		return nil
	}))
}

func TestAnUnknownCommitIsReportedAndRunsNothing(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, w *wire, ctx context.Context, tx pgx.Tx){
		"the answer is lost": func(_ *testing.T, w *wire, _ context.Context, _ pgx.Tx) { w.cutAt("commit", true) },
		"the text is lost":   func(_ *testing.T, w *wire, _ context.Context, _ pgx.Tx) { w.cutAt("commit", false) },
		"a text has committed": func(t *testing.T, _ *wire, ctx context.Context, tx pgx.Tx) {
			_, err := tx.Exec(ctx, "commit")
			require.NoError(t, err)
		},
		"a text has rolled back": func(t *testing.T, _ *wire, ctx context.Context, tx pgx.Tx) {
			_, err := tx.Exec(ctx, "rollback")
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, 0)
			core, logs := observer.New(zap.ErrorLevel)
			db, err := openOn(t, w.URL, nil, fxdb.WithLogger(zap.New(core)))
			require.NoError(t, err)
			defer db.Close(context.Background())
			var ran []string
			ctx := within(t)
			_ = db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
				after(t, tx, &ran, "it")
				_, err := tx.Exec(ctx, "select 1")
				require.NoError(t, err)
				end(t, w, ctx, tx)
				return nil
			})
			require.Empty(t, ran)
			require.Equal(t, 1, logs.FilterMessageSnippet("the outcome of a commit is unknown").Len())
		})
	}
	t.Run("a commit that was not sent is no such", func(t *testing.T) {
		t.Parallel()
		core, logs := observer.New(zap.ErrorLevel)
		db := reopen(t, notesDB(t), nil, fxdb.WithLogger(zap.New(core)))
		ctx, cancel := context.WithCancel(within(t))
		tx, err := db.Begin(ctx)
		require.NoError(t, err)
		_, err = tx.Exec(ctx, "select 1")
		require.NoError(t, err)
		var ran []string
		after(t, tx, &ran, "it")
		cancel()
		require.ErrorIs(t, tx.Commit(ctx), context.Canceled)
		require.Empty(t, ran)
		require.Empty(t, logs.All())
	})
}
