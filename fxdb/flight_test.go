package fxdb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// batchOf sends the statements and reads all results.
func batchOf(ctx context.Context, a asker, statements ...string) error {
	b := &pgx.Batch{}
	for _, sql := range statements {
		b.Queue(sql)
	}
	return a.SendBatch(ctx, b).Close()
}

func TestATenantTakesNoMoreFlightsThanNone(t *testing.T) {
	t.Parallel()
	plain, scoped := newWire(t, 0), newWire(t, 0)
	one := func(ctx context.Context, db *fxdb.DB, sql string) error {
		var n int
		return db.QueryRow(ctx, sql, 1).Scan(&n)
	}
	for name, use := range map[string]func(ctx context.Context, db *fxdb.DB) error{
		"QueryRow": func(ctx context.Context, db *fxdb.DB) error { return one(ctx, db, "select $1::int") },
		"Query": func(ctx context.Context, db *fxdb.DB) error {
			rows, err := db.Query(ctx, "select $1::int", 1)
			if err == nil {
				rows.Close()
				err = rows.Err()
			}
			return err
		},
		"Exec": func(ctx context.Context, db *fxdb.DB) error { _, err := db.Exec(ctx, "select 1"); return err },
		"Exec with parameters": func(ctx context.Context, db *fxdb.DB) error {
			_, err := db.Exec(ctx, "select $1::int", 1)
			return err
		},
		"SendBatch": func(ctx context.Context, db *fxdb.DB) error { return batchOf(ctx, db, "select 1", "select 2") },
		"SendBatch after one that failed": func(ctx context.Context, db *fxdb.DB) error {
			if err := batchOf(ctx, db, "select 1/0"); err == nil {
				return errors.New("it did not fail")
			}
			return batchOf(ctx, db, "select 1", "select 2")
		},
		"QueryRow after one that failed": func(ctx context.Context, db *fxdb.DB) error {
			if err := one(ctx, db, "select 1/($1::int-1)"); err == nil {
				return errors.New("it did not fail")
			}
			return one(ctx, db, "select $1::int")
		},
		"QueryRow after a missing column": func(ctx context.Context, db *fxdb.DB) error {
			if err := one(ctx, db, "select missing from notes.notes where $1"); codeOf(err) != "42703" {
				return fmt.Errorf("not 42703: %w", err)
			}
			return one(ctx, db, "select $1::int")
		},
		"QueryRow after what is not allowed": func(ctx context.Context, db *fxdb.DB) error {
			if err := one(ctx, db, "select $1::int from pg_authid"); codeOf(err) != "42501" {
				return fmt.Errorf("not 42501: %w", err)
			}
			return one(ctx, db, "select $1::int")
		},
		"Begin and Rollback": func(ctx context.Context, db *fxdb.DB) error {
			tx, err := db.Begin(ctx)
			if err != nil {
				return err
			}
			return tx.Rollback(ctx)
		},
	} {
		if size.Of(!slices.Contains([]string{"QueryRow", "Exec with parameters", "SendBatch", "Begin and Rollback"}, name), false, false) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			p, s := plain.open(t), scoped.open(t).Named("client") // connections that know no statement
			first := func(w *wire, db *fxdb.DB, ctx context.Context) [3]int64 {
				var n [3]int64
				for i := range n {
					n[i] = w.during(t, func() error { return use(ctx, db) })
				}
				return n
			}
			without, with := first(plain, p, t.Context()), first(scoped, s, as(t, "acme"))
			if name == "Begin and Rollback" {
				without[0]++ // BEGIN has no parameters to ask for, the scope has
			}
			for i := range with {
				require.LessOrEqual(t, with[i], without[i], "use %d: flights of three uses with a tenant %v, without %v", i+1, with, without)
			}
		})
	}
}

func TestScopeHoldsInEveryExecMode(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	own := notesDB(t, testkit.Config(one))
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		check := func(t *testing.T, db *fxdb.DB, options ...any) {
			t.Helper()
			acme := as(t, "acme")
			_, err := db.Exec(acme, "insert into notes.notes (body) values ($1)", append(options, mode.String())...)
			require.NoError(t, err)
			for range 2 { // new, and known
				var body, who string
				require.NoError(t, db.QueryRow(acme, "select body, current_setting('app.current_tenant') from notes.notes where body = $1", append(options, mode.String())...).Scan(&body, &who))
				require.Equal(t, mode.String()+" acme", body+" "+who)
				rows, err := db.Query(acme, "select n from generate_series(1, $1::int) n", append(options, 3)...)
				require.NoError(t, err)
				got, err := pgx.CollectRows(rows, pgx.RowTo[int])
				require.NoError(t, err)
				require.Equal(t, []int{1, 2, 3}, got)
			}
			var n int
			require.NoError(t, db.QueryRow(as(t, "globex"), "select count(*) from notes.notes where $1", append(options, true)...).Scan(&n))
			require.Zero(t, n)
			require.Error(t, db.QueryRow(acme, "select 1/$1::int", append(options, 0)...).Scan(&n))
			_, err = db.Exec(acme, "delete from notes.notes")
			require.NoError(t, err)
			requireClean(t, db)
		}
		t.Run("of the pool/"+mode.String(), func(t *testing.T) {
			param := map[pgx.QueryExecMode]string{
				pgx.QueryExecModeCacheStatement: "cache_statement", pgx.QueryExecModeCacheDescribe: "cache_describe",
				pgx.QueryExecModeDescribeExec: "describe_exec", pgx.QueryExecModeExec: "exec", pgx.QueryExecModeSimpleProtocol: "simple_protocol",
			}[mode]
			db := another(t, own, "&default_query_exec_mode="+param)
			check(t, db)
			require.NoError(t, batchOf(as(t, "acme"), db, "insert into notes.notes (body) values ('batch')", "select count(*) from notes.notes"))
			require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error {
				var n int
				require.NoError(t, tx.QueryRow(t.Context(), "select count(*) from notes.notes where body = $1", "batch").Scan(&n))
				require.Equal(t, 1, n)
				_, err := tx.Exec(t.Context(), "delete from notes.notes")
				return err
			}))
			requireClean(t, db)
		})
		t.Run("of the statement/"+mode.String(), func(t *testing.T) { check(t, own, mode) })
	}
}

func TestScopedStatementsTakePgxsOptions(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	acme := as(t, "acme")
	var n int
	require.NoError(t, db.QueryRow(acme, "select @n::int", pgx.NamedArgs{"n": 7}).Scan(&n))
	require.Equal(t, 7, n)
	for name, formats := range map[string]any{
		"by column": pgx.QueryResultFormats{pgx.TextFormatCode},
		"by type":   pgx.QueryResultFormatsByOID{23: pgx.TextFormatCode},
	} {
		rows, err := db.Query(acme, "select $1::int", formats, 7)
		require.NoError(t, err, name)
		require.True(t, rows.Next())
		require.EqualValues(t, pgx.TextFormatCode, rows.FieldDescriptions()[0].Format, name)
		require.Equal(t, "7", string(rows.RawValues()[0]), name)
		require.NotNil(t, rows.Conn())
		rows.Close()
		require.Equal(t, "SELECT 1", rows.CommandTag().String())
	}
	require.ErrorContains(t, db.QueryRow(acme, "select $1::int").Scan(&n), "expected 1 arguments, got 0")
	require.ErrorContains(t, db.QueryRow(acme, "select $1::int", struct{}{}).Scan(&n), "args[0]")
	require.ErrorIs(t, db.QueryRow(acme, "").Scan(&n), pgx.ErrNoRows)
	rows, err := db.Query(acme, "")
	require.NoError(t, err)
	require.False(t, rows.Next())
	require.NoError(t, rows.Err())
	var scanned pgx.RowScanner = &rowLength{}
	require.NoError(t, db.QueryRow(acme, "select 1, 2, 3").Scan(scanned))
	require.Equal(t, &rowLength{3}, scanned)
	requireClean(t, db)
}

type rowLength struct{ columns int }

func (r *rowLength) ScanRow(rows pgx.Rows) error { r.columns = len(rows.RawValues()); return nil }

func TestScopedExecTakesSeveralStatements(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	_, err := db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('a'); insert into notes.notes (body) values ('b'), (current_setting('app.current_tenant'))")
	require.NoError(t, err)
	var n int
	require.NoError(t, db.QueryRow(as(t, "acme"), "select count(*) from notes.notes where tenant_id = 'acme'").Scan(&n))
	require.Equal(t, 3, n)
	_, err = db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('c'); select 1/0")
	require.Error(t, err)
	requireClean(t, db)
	_, err = db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('c'); selec")
	require.Error(t, err)
	require.NoError(t, db.QueryRow(as(t, "acme"), "select count(*) from notes.notes").Scan(&n))
	require.Equal(t, 3, n)
}

func TestTransactionRefusesAnotherTenant(t *testing.T) {
	t.Parallel()
	db := notesDB(t)
	user := func(name, user string) context.Context {
		return tenant.NewContext(t.Context(), tenant.Identity{Tenant: name, User: user})
	}
	for name, c := range map[string]struct {
		began, asked context.Context
		refused      bool
	}{
		"the same":           {user("acme", "u"), user("acme", "u"), false},
		"none":               {user("acme", "u"), t.Context(), false},
		"another tenant":     {user("acme", "u"), user("globex", "u"), true},
		"another user":       {user("acme", "u"), user("acme", "v"), true},
		"a tenant in a none": {t.Context(), user("acme", ""), true},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, db.InTx(c.began, pgx.TxOptions{}, func(tx pgx.Tx) error {
				check := func(err error) {
					t.Helper()
					if c.refused {
						require.ErrorIs(t, err, fxdb.ErrTenantMismatch)
					} else {
						require.NoError(t, err)
					}
				}
				sp, err := tx.Begin(t.Context())
				require.NoError(t, err)
				for _, tx := range []pgx.Tx{tx, sp} {
					_, err := tx.Exec(c.asked, "select 1")
					check(err)
					rows, err := tx.Query(c.asked, "select 1")
					check(err)
					rows.Close()
					var n int
					check(tx.QueryRow(c.asked, "select 1").Scan(&n))
					b := &pgx.Batch{}
					b.Queue("select 1")
					check(tx.SendBatch(c.asked, b).Close())
					inner, err := tx.Begin(c.asked)
					check(err)
					if err == nil {
						require.NoError(t, inner.Commit(t.Context()))
					}
				}
				_, err = sp.CopyFrom(c.asked, pgx.Identifier{"notes", "plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}}))
				check(err)
				return sp.Rollback(t.Context())
			}))
			require.Zero(t, db.Stats().Active)
		})
	}
}

func codeOf(err error) string {
	if pgErr := (*pgconn.PgError)(nil); errors.As(err, &pgErr) {
		return pgErr.Code
	}
	return fmt.Sprint(err)
}
