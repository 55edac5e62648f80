package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// one makes every statement meet the same connection.
func one(c *fxdb.Config) { c.PoolMin, c.PoolMax = 1, 1 }

// requireClean asserts that nothing of a tenant is left on the connection.
func requireClean(t *testing.T, db *fxdb.DB) {
	t.Helper()
	for _, name := range []string{tenant.TenantSetting, tenant.UserSetting, tenant.SessionSetting} {
		require.Empty(t, settingOf(t, db, t.Context(), name), "%s stayed on the connection", name)
	}
	require.Zero(t, db.Stats().Active, "a connection was not given back")
	require.EqualValues(t, 1, db.Stats().Opened, "the connection was thrown away")
}

func TestScopeOfEveryKindOfStatementEndsWithIt(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	for name, use := range map[string]func(t *testing.T, ctx context.Context, db *fxdb.DB){
		"Exec": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			tag, err := db.Exec(ctx, "insert into notes.notes (body) values ($1), ($1)", "x")
			require.NoError(t, err)
			require.EqualValues(t, 2, tag.RowsAffected())
		},
		"Exec that fails": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			_, err := db.Exec(ctx, "select 1/$1::int", 0)
			var pgErr *pgconn.PgError
			require.ErrorAs(t, err, &pgErr)
			require.Equal(t, "22012", pgErr.Code)
		},
		"Query read to its end": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			rows, err := db.Query(ctx, "select current_setting('app.current_tenant') from generate_series(1, 3)")
			require.NoError(t, err)
			got, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			require.Equal(t, []string{"acme", "acme", "acme"}, got)
		},
		"Query closed early": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			rows, err := db.Query(ctx, "select generate_series(1, 100000)")
			require.NoError(t, err)
			require.True(t, rows.Next())
			rows.Close()
			rows.Close()
			require.NoError(t, rows.Err())
			require.False(t, rows.Next())
		},
		"Query that fails after some rows": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			rows, err := db.Query(ctx, "select 10/(3-g) from generate_series(1, 5) g")
			require.NoError(t, err)
			for rows.Next() {
				var n int
				require.NoError(t, rows.Scan(&n))
			}
			require.Error(t, rows.Err())
		},
		"Query with a bad Scan": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			rows, err := db.Query(ctx, "select 'x' from generate_series(1, 3)")
			require.NoError(t, err)
			require.True(t, rows.Next())
			var n int
			require.Error(t, rows.Scan(&n))
			require.False(t, rows.Next())
		},
		"Query that can't be parsed": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			rows, err := db.Query(ctx, "selec 1")
			require.Error(t, err)
			require.False(t, rows.Next())
			require.Equal(t, err, rows.Err())
		},
		"QueryRow without a row": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			var n int
			require.ErrorIs(t, db.QueryRow(ctx, "select 1 where false").Scan(&n), pgx.ErrNoRows)
		},
		"SendBatch": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			b := &pgx.Batch{}
			b.Queue("insert into notes.notes (body) values ('a')")
			b.Queue(tenantSetting)
			var byFn string
			b.Queue(tenantSetting).QueryRow(func(row pgx.Row) error { return row.Scan(&byFn) })
			br := db.SendBatch(ctx, b)
			tag, err := br.Exec()
			require.NoError(t, err)
			require.EqualValues(t, 1, tag.RowsAffected())
			var got string
			require.NoError(t, br.QueryRow().Scan(&got))
			require.Equal(t, "acme", got)
			require.NoError(t, br.Close())
			require.Equal(t, "acme", byFn)
			require.Equal(t, 3, b.Len(), "the caller's batch was changed")
		},
		"SendBatch that begins a transaction": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			b := &pgx.Batch{}
			b.BeginTx(pgx.TxOptions{IsoLevel: pgx.Serializable})
			b.Queue(tenantSetting)
			br := db.SendBatch(ctx, b)
			_, err := br.Exec()
			require.NoError(t, err)
			var got string
			require.NoError(t, br.QueryRow().Scan(&got))
			require.Equal(t, "acme", got)
			tx := br.Tx()
			require.NoError(t, br.Close())
			require.NoError(t, tx.QueryRow(ctx, tenantSetting).Scan(&got), "the transaction is this tenant's")
			require.Equal(t, "acme", got)
			_, err = tx.Exec(as(t, "globex"), "select 1")
			require.ErrorIs(t, err, fxdb.ErrTenantMismatch)
			require.NoError(t, tx.Commit(t.Context()))
		},
		"Begin, savepoints, Rollback": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			tx, err := db.Begin(ctx)
			require.NoError(t, err)
			for _, end := range []func(pgx.Tx) error{
				func(tx pgx.Tx) error { return tx.Commit(t.Context()) },
				func(tx pgx.Tx) error { return tx.Rollback(t.Context()) },
			} {
				savepoint, err := tx.Begin(t.Context())
				require.NoError(t, err)
				require.NoError(t, end(savepoint))
				var got string
				require.NoError(t, tx.QueryRow(t.Context(), tenantSetting).Scan(&got))
				require.Equal(t, "acme", got, "a savepoint's end took the tenant away")
			}
			require.NoError(t, tx.Rollback(t.Context()))
			require.ErrorIs(t, tx.Rollback(t.Context()), pgx.ErrTxClosed)
		},
		"BeginTx with a query of the caller's": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			tx, err := db.BeginTx(ctx, pgx.TxOptions{BeginQuery: "begin; set local work_mem = '1MB'"})
			require.NoError(t, err)
			var got, mem string
			require.NoError(t, tx.QueryRow(t.Context(), "select current_setting('app.current_tenant'), current_setting('work_mem')").Scan(&got, &mem))
			require.Equal(t, "acme 1MB", got+" "+mem)
			require.NoError(t, tx.Commit(t.Context()))
		},
		"CopyFrom": func(t *testing.T, ctx context.Context, db *fxdb.DB) {
			n, err := db.CopyFrom(ctx, pgx.Identifier{"notes", "notes"}, []string{"body"},
				pgx.CopyFromSlice(2500, func(i int) ([]any, error) { return []any{"row"}, nil }))
			require.NoError(t, err)
			require.EqualValues(t, 2500, n)
			var own int
			require.NoError(t, db.QueryRow(ctx, "select count(*) from notes.notes").Scan(&own))
			require.Equal(t, 2500, own)
		},
	} {
		t.Run(name, func(t *testing.T) {
			acme := as(t, "acme")
			_, err := db.Exec(acme, "delete from notes.notes")
			require.NoError(t, err)
			use(t, acme, db)
			requireClean(t, db)
		})
	}
}

func TestABatchWhoseCallbackPanicsGivesTheConnectionBack(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	own := notesDB(t, testkit.Config(one))
	for _, mode := range []string{"cache_statement", "exec"} {
		db := another(t, own, "&default_query_exec_mode="+mode)
		for who, ctx := range map[string]context.Context{"nobody": t.Context(), "a tenant": as(t, "acme")} {
			b := &pgx.Batch{}
			b.Queue("select 1").QueryRow(func(pgx.Row) error { panic("boom") })
			b.Queue("select 2")
			require.PanicsWithValue(t, "boom", func() { _ = db.SendBatch(ctx, b).Close() })
			require.Eventually(t, func() bool { return db.Stats().Active == 0 }, patience, time.Millisecond, "%s, %s", mode, who)
			require.Empty(t, settingOf(t, db, t.Context(), tenant.TenantSetting))
		}
	}
}

func TestScopedCommitErrorIsTheStatementsError(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	// The unique constraint is deferred: the statement succeeds, its commit fails.
	const sql = "insert into notes.plain values (1, 'x'), (2, 'x') returning id"
	db := notesDB(t, testkit.Config(one))
	for name, use := range map[string]func(ctx context.Context, db *fxdb.DB) error{
		"Exec": func(ctx context.Context, db *fxdb.DB) error { _, err := db.Exec(ctx, sql); return err },
		"QueryRow": func(ctx context.Context, db *fxdb.DB) error {
			var n int
			return db.QueryRow(ctx, sql).Scan(&n)
		},
		"Query": func(ctx context.Context, db *fxdb.DB) error {
			rows, err := db.Query(ctx, sql)
			if err != nil {
				return err
			}
			for rows.Next() {
			}
			return rows.Err()
		},
		"SendBatch": func(ctx context.Context, db *fxdb.DB) error {
			b := &pgx.Batch{}
			b.Queue(sql)
			return db.SendBatch(ctx, b).Close()
		},
		"InTx": func(ctx context.Context, db *fxdb.DB) error {
			return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, sql); return err })
		},
	} {
		t.Run(name, func(t *testing.T) {
			var pgErr *pgconn.PgError
			require.ErrorAs(t, use(as(t, "acme"), db), &pgErr)
			require.Equal(t, "23505", pgErr.Code)
			requireClean(t, db)
		})
	}
}

func TestCopyFromIsAllOrNothing(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	for name, c := range map[string]struct {
		ctx  context.Context
		rows [][]any
	}{
		"with a tenant, a bad value":     {as(t, "acme"), [][]any{{"good"}, {nil}}},
		"with a tenant, a missing value": {as(t, "acme"), [][]any{{"good"}, {}}},
	} {
		n, err := db.CopyFrom(c.ctx, pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows(c.rows))
		require.Error(t, err, name)
		require.Zero(t, n, name)
		var kept int
		require.NoError(t, db.QueryRow(c.ctx, "select count(*) from notes.notes").Scan(&kept))
		require.Zero(t, kept, name)
	}
	n, err := db.CopyFrom(t.Context(), pgx.Identifier{"notes", "plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}, {2}}))
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	_, err = db.CopyFrom(as(t, "acme"), pgx.Identifier{"notes", "plain"}, nil, pgx.CopyFromRows([][]any{{}}))
	require.ErrorContains(t, err, "no columns")
}

func TestRequireTenantRefusesBeforeAnythingIsSent(t *testing.T) {
	t.Parallel()
	pool := notesDB(t)
	db := pool.Named("strict", fxdb.RequireTenant())
	before := pool.Stats().AcquireCount
	for name, use := range everyUse(t.Context(), db) {
		if name == "Pool" || name == "Ping" {
			continue // not a client's statements
		}
		require.ErrorIs(t, use(), fxdb.ErrTenantRequired, name)
	}
	require.Equal(t, before, pool.Stats().AcquireCount)

	var n int
	require.NoError(t, db.QueryRow(tenant.System(t.Context(), "count"), "select count(*) from notes.notes").Scan(&n))
	require.Zero(t, n, "System must see no more than the policies show to nobody")
	require.NoError(t, pool.QueryRow(t.Context(), "select 1").Scan(&n), "another client was bound too")
}

func TestABlankReasonIsNoneAndIsRefused(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	pool := notesDB(t)
	db := pool.Named("strict", fxdb.RequireTenant())
	before := pool.Stats().AcquireCount
	for _, reason := range []string{"", " ", "\t\n"} {
		for from, ctx := range map[string]context.Context{"nobody": t.Context(), "a tenant": as(t, "acme")} {
			for name, use := range everyUse(tenant.System(ctx, reason), db) {
				if name == "Pool" || name == "Ping" {
					continue // not a client's statements
				}
				require.ErrorIs(t, use(), fxdb.ErrTenantRequired, "%s from %s with %q", name, from, reason)
			}
		}
	}
	require.Equal(t, before, pool.Stats().AcquireCount, "nothing was sent")
}

func TestTheInnermostScopeCounts(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t)
	require.Equal(t, "globex", settingOf(t, db, tenant.NewContext(as(t, "acme"), tenant.Identity{Tenant: "globex"}), tenant.TenantSetting))
	require.Empty(t, settingOf(t, db, tenant.System(as(t, "acme"), "maintenance"), tenant.TenantSetting))
	require.Equal(t, "acme", settingOf(t, db, tenant.NewContext(tenant.System(t.Context(), "x"), tenant.Identity{Tenant: "acme"}), tenant.TenantSetting))
}

func TestABareConnectionRefusesATenant(t *testing.T) {
	t.Parallel()
	db := notesDB(t)
	ctx := as(t, "acme")
	_, err := db.Acquire(ctx)
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
	_, err = db.Pool().Exec(ctx, "select 1")
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
	_, err = db.Pool().Begin(ctx)
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
	require.NoError(t, db.Ping(ctx))
	require.Zero(t, db.Stats().Active)
}

func TestTheRawPoolOfAClientThatRequiresATenantSeesNoTenantsRows(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one)).Named("strict", fxdb.RequireTenant())
	_, err := db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('secret')")
	require.NoError(t, err)
	_, err = db.Exec(t.Context(), "select 1")
	require.ErrorIs(t, err, fxdb.ErrTenantRequired)
	for who, ctx := range map[string]context.Context{"nobody": t.Context(), "system": tenant.System(t.Context(), "test")} {
		pool := db.Pool()
		var n int
		require.NoError(t, pool.QueryRow(ctx, "select count(*) from notes.notes").Scan(&n), who)
		require.Zero(t, n, who)
		for _, sql := range []string{"update notes.notes set body = 'mine'", "delete from notes.notes"} {
			tag, err := pool.Exec(ctx, sql)
			require.NoError(t, err, who)
			require.Zero(t, tag.RowsAffected(), "%s: %s", who, sql)
		}
		_, err := pool.Exec(ctx, "insert into notes.notes (tenant_id, body) values ('acme', 'forged')")
		require.Equal(t, "42501", codeOf(err), who)
		_, err = pool.CopyFrom(ctx, pgx.Identifier{"notes", "notes"}, []string{"tenant_id", "body"}, pgx.CopyFromRows([][]any{{"acme", "forged"}}))
		require.Equal(t, "0A000", codeOf(err), who)
		require.NoError(t, pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			require.NoError(t, tx.QueryRow(ctx, "select count(*) from notes.notes").Scan(&n), who)
			require.Zero(t, n, who)
			return nil
		}))
	}
	_, err = db.Pool().Exec(as(t, "acme"), "select 1")
	require.ErrorIs(t, err, fxdb.ErrTenantNotCarried)
	require.Zero(t, db.Stats().Active)
}

func TestTheRawPoolOfALoginThatNoPolicyHoldsIsNotHeldByTheTenantsRole(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	plain := notesDB(t)
	_, err := plain.Exec(as(t, "acme"), "insert into notes.notes (body) values ('secret')")
	require.NoError(t, err)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: asSuperuser(t, plain).String(), TenantRole: devdb.RoleApp, PoolMax: 1})
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	var n int
	require.NoError(t, db.QueryRow(t.Context(), "select count(*) from notes.notes").Scan(&n))
	require.Zero(t, n)
	require.NoError(t, db.Pool().QueryRow(t.Context(), "select count(*) from notes.notes").Scan(&n))
	require.Equal(t, 1, n, "it is no more a hole: DB.Pool and DB.Acquire may promise more")
}

func TestTenantRoleIsTakenForTheTransaction(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	// The login may not take this role: the refusal shows that it was tried.
	plain := notesDB(t)
	owner := testkit.OwnerPool(t, plain).Config().ConnString()
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: owner, TenantRole: "pg_monitor", PoolMin: 1, PoolMax: 1})
	require.NoError(t, err)
	defer db.Close(t.Context())
	_, err = db.Exec(as(t, "acme"), "select 1")
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr, "the role was not taken")
	require.Equal(t, "42501", pgErr.Code, "a role that the login is no member of")
	_, err = db.Exec(tenant.System(t.Context(), "test"), "select 1")
	require.Equal(t, "42501", codeOf(err), "the role was not taken outside any tenant")
	_, err = db.Exec(t.Context(), "select 1")
	require.Equal(t, "42501", codeOf(err), "the role was not taken without a tenant")
}

func TestASearchPathCantHideTheTenant(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	plain := notesDB(t)
	owner := testkit.OwnerPool(t, plain)
	_, err := owner.Exec(t.Context(), `create schema spoof;
		create function spoof.set_config(text, text, boolean) returns text language sql return 'nothing';
		grant usage on schema spoof to public`)
	require.NoError(t, err)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: plain.Pool().Config().ConnString() + "&search_path=spoof,pg_catalog", PoolMax: 1})
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	require.Equal(t, "acme", settingOf(t, db, as(t, "acme"), tenant.TenantSetting))
}

func TestAnErrorOfWhatRanIsNotTakenForSeveralStatements(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	seen := &recorder{}
	traced, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t), PoolMax: 1}, fxdb.WithTracer(seen))
	require.NoError(t, err)
	defer traced.Close(context.WithoutCancel(t.Context()))
	_, err = traced.Exec(as(t, "acme"), "do $$ begin raise exception using errcode = '42601'; end $$")
	require.Equal(t, "42601", codeOf(err))
	require.Len(t, seen.lines, 2, "it ran more than once: %v", seen.lines)
	_, err = traced.Exec(as(t, "acme"), "select 1; select 2")
	require.NoError(t, err)
}
