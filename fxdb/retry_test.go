package fxdb_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// lostUses are what meets a lost connection. Each sends marker in its parameters,
// or in its text where text is set, and writes one row of the marker's name.
var lostUses = map[string]func(ctx context.Context, db *fxdb.DB, marker string) error{
	"Exec": func(ctx context.Context, db *fxdb.DB, marker string) error {
		_, err := db.Exec(ctx, "insert into notes.notes (body) values ($1)", marker)
		return err
	},
	"Query": func(ctx context.Context, db *fxdb.DB, marker string) error {
		rows, err := db.Query(ctx, "insert into notes.notes (body) values ($1) returning body", marker)
		if err != nil {
			return err
		}
		_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
		return err
	},
	"QueryRow": func(ctx context.Context, db *fxdb.DB, marker string) error {
		var body string
		return db.QueryRow(ctx, "insert into notes.notes (body) values ($1) returning body", marker).Scan(&body)
	},
	"InTx": func(ctx context.Context, db *fxdb.DB, marker string) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into notes.notes (body) values ($1)", marker)
			return err
		})
	},
}

func countNotes(t *testing.T, db *fxdb.DB, ctx context.Context, body string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(ctx, "select count(*) from notes.notes where body = $1", body).Scan(&n))
	return n
}

func TestALostConnectionIsMadeUpForWhereTheStatementMayRunTwice(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestAConnectionLostBeforeTheStatementIsMadeUpForAlways")
	uses := maps.Clone(lostUses)
	uses["Exec without parameters"] = func(ctx context.Context, db *fxdb.DB, marker string) error {
		_, err := db.Exec(ctx, "insert into notes.notes (body) values ('"+marker+"')")
		return err
	}
	scopes := map[string]context.Context{"tenant": as(t, "acme"), "owner": t.Context()}
	if size.Of(true, false, false) {
		delete(scopes, "owner")
	}
	for scope, ctx := range scopes {
		w := newWire(t, 0)
		db := w.open(t)
		if scope == "owner" {
			_, err := testkit.OwnerPool(t, w.db).Exec(ctx, "alter table notes.notes disable row level security; alter table notes.notes alter tenant_id set default 'none'")
			require.NoError(t, err)
		}
		for name, use := range uses {
			t.Run(name+" of a "+scope, func(t *testing.T) {
				_, err := db.Exec(ctx, "delete from notes.notes")
				require.NoError(t, err)
				require.NoError(t, use(ctx, db, "warm"))

				for marker, delivered := range map[string]bool{"lost-on-the-way": false, "answer-lost": true} {
					w.cutAt(marker, delivered)
					err := use(ctx, db, marker)
					ran := countNotes(t, db, ctx, marker)
					switch {
					case name == "InTx": // nothing was committed, so the statement goes again
						require.NoError(t, err, marker)
						require.Equal(t, 1, ran, marker)
					default:
						require.Error(t, err, "%s: nobody said that it may run twice", marker)
						require.LessOrEqual(t, ran, map[bool]int{true: 1}[delivered], "%s: it was sent twice", marker)
					}
				}

				w.cutAt("marked", false)
				require.NoError(t, use(fxdb.Idempotent(ctx), db, "marked"))
				require.Equal(t, 1, countNotes(t, db, ctx, "marked"))
				require.Eventually(t, func() bool { return db.Stats().Active == 0 }, patience, time.Millisecond)
			})
		}
	}
}

func TestAConnectionLostBeforeTheStatementIsMadeUpForAlways(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	plain := tenant.System(t.Context(), "test")
	w := newWire(t, 0)
	for name, c := range map[string]struct {
		cut string
		ctx context.Context
		use func(ctx context.Context, db *fxdb.DB) error
	}{
		"while a scoped statement is prepared": {"preparing-this", as(t, "acme"), func(ctx context.Context, db *fxdb.DB) error {
			_, err := db.Exec(ctx, "insert into notes.notes (body) select $1 /* preparing-this */", "x")
			return err
		}},
		"while a statement is prepared": {"preparing-this", plain, func(ctx context.Context, db *fxdb.DB) error {
			_, err := db.Exec(ctx, "select $1::text /* preparing-this */", "x")
			return err
		}},
		"at a BEGIN": {"begin", plain, func(ctx context.Context, db *fxdb.DB) error {
			tx, err := db.Begin(ctx)
			if err == nil {
				tx.Conn() // sends BEGIN alone
				err = tx.Rollback(ctx)
			}
			return err
		}},
		"at a scoped BEGIN": {"begin", as(t, "acme"), func(ctx context.Context, db *fxdb.DB) error {
			return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "select 1"); return err })
		}},
		"in a read-only transaction": {"reading-this", as(t, "acme"), func(ctx context.Context, db *fxdb.DB) error {
			return db.InTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "select 'reading-this'")
				return err
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, delivered := range []bool{false, true} {
				db := w.open(t) // a connection that knows no statement
				w.cutAt(c.cut, delivered)
				before := db.Stats().Opened
				require.NoError(t, c.use(c.ctx, db))
				require.Equal(t, before+1, db.Stats().Opened, "nothing was cut")
				require.Eventually(t, func() bool { return db.Stats().Active == 0 }, patience, time.Millisecond)
			}
		})
	}
}

func TestRowsThatWereSeenAreNotSentAgain(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	w := newWire(t, 0)
	db := w.open(t)
	ctx := fxdb.Idempotent(as(t, "acme"))
	rows, err := db.Query(ctx, "select n from generate_series(1, $1::int) n", 3)
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(t, err)
	require.Equal(t, []int{1, 2, 3}, got)

	rows, err = db.Query(ctx, "select generate_series(1, 10000000), repeat('x', 1000)") // more than any buffer holds
	require.NoError(t, err)
	require.True(t, rows.Next())
	w.cutNow()
	for rows.Next() {
	}
	require.Error(t, rows.Err())
	require.Eventually(t, func() bool { return db.Stats().Active == 0 }, patience, time.Millisecond)
}

func TestResendingEndsWithTheTimeForAConnection(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	w := newWire(t, 0)
	db := w.open(t, func(c *fxdb.Config) { c.ConnectionTimeout = 500 * time.Millisecond })
	require.NoError(t, db.Ping(t.Context()))
	w.cutAlways("never-arrives")
	_, err := db.Exec(fxdb.Idempotent(as(t, "acme")), "select $1::text", "never-arrives")
	require.Error(t, err)
	ctx, cancel := context.WithCancel(fxdb.Idempotent(as(t, "acme")))
	cancel()
	_, err = db.Exec(ctx, "select $1::text", "never-arrives")
	require.ErrorIs(t, err, context.Canceled)
}

func TestAContextThatEndsBetweenAttemptsDoesNotHideTheLoss(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	s := pgfault.Start(t)
	p := s.Proxy(t)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: p.DatabaseURL("postgres", "postgres"), PoolMin: 1, PoolMax: 1, ConnectionTimeout: time.Hour})
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	ctx, cancel := context.WithCancel(fxdb.Idempotent(t.Context()))
	defer cancel()
	failed := make(chan error, 1)
	go func() { _, err := db.Exec(ctx, "select pg_sleep(1000)"); failed <- err }()
	s.WaitForQuery(t, "select pg_sleep(1000)")
	p.Cut()
	require.Eventually(t, func() bool { return db.Stats().Waiting == 1 }, time.Minute, time.Millisecond, "it is not sent again")
	cancel()
	err = <-failed
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorContains(t, err, "; the retry failed: ")
}
