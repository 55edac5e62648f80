package fxdb_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// privileged opens a pool whose login no policy holds, with DB_TENANT_ROLE.
func privileged(t *testing.T, own *fxdb.DB) *fxdb.DB {
	t.Helper()
	db, err := fxdb.Open(within(t), fxdb.Config{URL: asSuperuser(t, own).String(), TenantRole: devdb.RoleApp, PoolMin: 1, PoolMax: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.WithoutCancel(t.Context()))) })
	return db
}

func execOf(db *fxdb.DB, args ...any) func(context.Context, string) error {
	return func(ctx context.Context, sql string) error { _, err := db.Exec(ctx, sql, args...); return err }
}

// scopedDoors are the ways of a text into a scope.
func scopedDoors(db *fxdb.DB) map[string]func(ctx context.Context, sql string) error {
	inTx := func(ctx context.Context, do func(tx pgx.Tx) error) error { return db.InTx(ctx, pgx.TxOptions{}, do) }
	return map[string]func(ctx context.Context, sql string) error{
		"Exec":          execOf(db),
		"Exec, by name": func(ctx context.Context, sql string) error { return execOf(db, pgx.NamedArgs{})(ctx, sql) },
		"a rewriter":    func(ctx context.Context, sql string) error { return execOf(db, rewriter(sql))(ctx, "select 1") },
		"Query": func(ctx context.Context, sql string) error {
			rows, err := db.Query(ctx, sql)
			if err == nil {
				rows.Close()
				err = rows.Err()
			}
			return err
		},
		"QueryRow":  func(ctx context.Context, sql string) error { return db.QueryRow(ctx, sql).Scan(nil) },
		"SendBatch": func(ctx context.Context, sql string) error { return batchOf(ctx, db, "select 1", sql) },
		"a batch's rewriter": func(ctx context.Context, sql string) error {
			b := &pgx.Batch{}
			b.Queue("select 1", rewriter(sql))
			return db.SendBatch(ctx, b).Close()
		},
		"a batch that begins": func(ctx context.Context, sql string) error {
			b := &pgx.Batch{}
			b.BeginTx(pgx.TxOptions{})
			b.Queue(sql)
			br := db.SendBatch(ctx, b)
			err := br.Close()
			if tx := br.Tx(); tx != nil {
				_ = tx.Rollback(ctx)
			}
			return err
		},
		"InTx": func(ctx context.Context, sql string) error {
			return inTx(ctx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, sql); return err })
		},
		"a savepoint": func(ctx context.Context, sql string) error {
			return inTx(ctx, func(tx pgx.Tx) error {
				return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, sql); return err })
			})
		},
		"a transaction's Query": func(ctx context.Context, sql string) error {
			return inTx(ctx, func(tx pgx.Tx) error {
				rows, err := tx.Query(ctx, sql)
				if err == nil {
					rows.Close()
					err = rows.Err()
				}
				return err
			})
		},
		"a transaction's QueryRow": func(ctx context.Context, sql string) error {
			return inTx(ctx, func(tx pgx.Tx) error { return tx.QueryRow(ctx, sql).Scan(nil) })
		},
		"a transaction's batch": func(ctx context.Context, sql string) error {
			return inTx(ctx, func(tx pgx.Tx) error { return batchOf(ctx, tx, "select 1", sql) })
		},
		"a transaction's rewriter": func(ctx context.Context, sql string) error {
			return inTx(ctx, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "select 1", rewriter(sql)); return err })
		},
		"a transaction's Prepare": func(ctx context.Context, sql string) error {
			return inTx(ctx, func(tx pgx.Tx) error { _, err := tx.Prepare(ctx, "mine", sql); return err })
		},
	}
}

func TestNoTextEndsItsScope(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t, testkit.Config(one))
	db := privileged(t, own)
	texts := []string{
		"commit", "begin", "select 1; commit; insert into notes.plain values (7, 'x')", "rollback and chain", "/* x */ END",
		"abort", "start transaction", "prepare transaction 'x'", "set local role postgres", "set local app.current_tenant = 'globex'",
		"SET LOCAL Row_Security = off", "set local standard_conforming_strings = off", "set local session authorization postgres",
		"set role postgres", "reset role", "set app.current_tenant = 'globex'", "reset all", "select set_config('app.current_tenant', 'globex', true)",
		"select 1; reset role; select 2", "update pg_settings set setting = 'globex' where name = 'app.current_tenant'",
	}
	for name, door := range scopedDoors(db) {
		for _, sql := range size.Of(texts[:3], texts, texts) {
			if strings.Contains(sql, ";") && strings.Contains(name, "batch") {
				continue
			}
			for who, ctx := range map[string]context.Context{"a tenant": as(t, "acme"), "nobody, as DB_TENANT_ROLE": within(t)} {
				err := door(ctx, sql)
				var refused *fxdb.ScopeError
				require.ErrorAs(t, err, &refused, "%s, %s: %s", name, who, sql)
				require.NotEmpty(t, refused.Reason)
				require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
			}
		}
	}
	require.Empty(t, settingOf(t, own, t.Context(), "app.current_tenant"))
	var n int
	require.NoError(t, own.QueryRow(t.Context(), "select count(*) from notes.plain").Scan(&n))
	require.Zero(t, n)

	// What stays in its transaction is the caller's.
	for _, ctx := range []context.Context{as(t, "acme"), within(t)} {
		require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			for _, sql := range []string{"savepoint a", "rollback to a", "release a", "set constraints all deferred", "set local work_mem = '3MB'"} {
				if _, err := tx.Exec(ctx, sql); err != nil {
					return fmt.Errorf("%s: %w", sql, err)
				}
			}
			return batchOf(ctx, tx, "savepoint b", "rollback to savepoint b")
		}))
	}
	// Without a scope every text is the caller's.
	require.NoError(t, own.InTx(t.Context(), pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "commit; begin")
		return err
	}))
	// A long text is read as well.
	require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), strings.Repeat(" ", 1<<20)+"select 1")
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), strings.Repeat(" ", 1<<20)+"commit")
		require.ErrorAs(t, err, new(*fxdb.ScopeError))
		_, err = tx.Exec(t.Context(), "savepoint x")
		return err
	}))
}

func TestNothingCommitsInsideAScope(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t, testkit.Config(one))
	owner := testkit.OwnerPool(t, own)
	_, err := owner.Exec(t.Context(), `
		create procedure notes.work() language plpgsql as $$ begin
			commit;
			insert into notes.plain select 1, current_user || '/' || coalesce(current_setting('app.current_tenant', true), '') || '/' || (select count(*) from notes.notes);
		end $$;
		create procedure notes.harmless() language sql begin atomic insert into notes.notes (body) values ('called'); end`)
	require.NoError(t, err)
	for _, name := range []string{"acme", "globex"} {
		_, err := own.Exec(as(t, name), "insert into notes.notes (body) values ('x')")
		require.NoError(t, err)
	}
	db := privileged(t, own)
	for name, door := range scopedDoors(db) {
		if strings.Contains(name, "Prepare") {
			continue
		}
		texts := []string{"call notes.work()", "do $$ begin call notes.work(); end $$", "do $$ begin commit; end $$"}
		for _, sql := range size.Of(texts, texts[:1], texts) {
			for who, ctx := range map[string]context.Context{"a tenant": as(t, "acme"), "nobody, as DB_TENANT_ROLE": within(t)} {
				err := door(ctx, sql)
				require.Equal(t, "2D000", codeOf(err), "%s, %s: %s: %v", name, who, sql, err)
				var seen string
				require.NoError(t, own.QueryRow(t.Context(), "select coalesce(string_agg(body, ','), '') from notes.plain").Scan(&seen))
				require.Empty(t, seen, "%s, %s: %s went on", name, who, sql)
				require.Zero(t, db.Stats().Active)
			}
		}
	}
	calls := 0
	for name, door := range scopedDoors(db) {
		if name == "a transaction's Prepare" || name == "a batch that begins" {
			continue // they run nothing, or end nothing
		}
		for _, sql := range []string{"call notes.harmless()", "do $$ begin call notes.harmless(); end $$"} {
			if err := door(as(t, "acme"), sql); err != nil {
				require.ErrorContains(t, err, "no rows", "%s: %s", name, sql)
			} else {
				calls++
			}
		}
	}
	var n int
	require.NoError(t, own.QueryRow(as(t, "acme"), "select count(*) from notes.notes where body = 'called'").Scan(&n))
	require.GreaterOrEqual(t, n, calls, "what was called is committed")
	require.Positive(t, calls)
	require.Empty(t, settingOf(t, db, t.Context(), "app.current_tenant"))
}
