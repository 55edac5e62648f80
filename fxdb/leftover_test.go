package fxdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func TestAnIdentitySetForASessionReachesNobodyElse(t *testing.T) {
	t.Parallel()
	const (
		set    = "set app.current_tenant = 'acme'"
		config = "select set_config('app.current_tenant', 'acme', false)"
	)
	bare := func(do func(ctx context.Context, conn *pgx.Conn) error) func(context.Context, *fxdb.DB) error {
		return func(ctx context.Context, db *fxdb.DB) error {
			ctx = tenant.System(ctx, "set")
			conn, err := db.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			return do(ctx, conn.Conn())
		}
	}
	exec := func(sql string, args ...any) func(context.Context, *fxdb.DB) error {
		return func(ctx context.Context, db *fxdb.DB) error { _, err := db.Exec(ctx, sql, args...); return err }
	}
	for name, leave := range map[string]func(context.Context, *fxdb.DB) error{
		"Exec":               exec(set),
		"SESSION":            exec("SET\n SESSION App . Current_Tenant TO 'acme'"),
		"quoted":             exec(`set "app"."current_tenant" = 'acme'`),
		"commented":          exec("set /* who */ app.current_tenant = 'acme'"),
		"several":            exec("select 1; " + set),
		"DO":                 exec("do $$ begin " + set + "; end $$"),
		"set_config":         exec(config),
		"set_config by name": exec("select pg_catalog.SET_CONFIG($1, $2, $3)", "app.current_tenant", "acme", false),
		"one of two":         exec("select set_config('a.b', 'true', false), set_config('app.current_tenant', 'acme', false), set_config('app.current_user', 'u', true)"),
		"Query": func(ctx context.Context, db *fxdb.DB) error {
			rows, err := db.Query(ctx, config)
			rows.Close()
			return err
		},
		"QueryRow":  func(ctx context.Context, db *fxdb.DB) error { var s string; return db.QueryRow(ctx, config).Scan(&s) },
		"SendBatch": func(ctx context.Context, db *fxdb.DB) error { return batchOf(ctx, db, "select 1", config, "select 2") },
		"InTx": func(ctx context.Context, db *fxdb.DB) error {
			return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, set); return err })
		},
		"a savepoint's batch": func(ctx context.Context, db *fxdb.DB) error {
			return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
				return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return batchOf(ctx, tx, config, "select 1") })
			})
		},
		"Acquire": bare(func(ctx context.Context, conn *pgx.Conn) error { _, err := conn.Exec(ctx, set); return err }),
		"Acquire and a prepared statement": bare(func(ctx context.Context, conn *pgx.Conn) error {
			if _, err := conn.Prepare(ctx, "mine", config); err != nil {
				return err
			}
			_, err := conn.Exec(ctx, "mine")
			return err
		}),
		"Pool": func(ctx context.Context, db *fxdb.DB) error {
			_, err := db.Pool().Exec(tenant.System(ctx, "set"), set)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := notesDB(t, testkit.Config(one))
			for who, ctx := range map[string]context.Context{"nobody": t.Context(), "a tenant": as(t, "globex")} {
				require.NoError(t, leave(ctx, db), who)
				require.Empty(t, settingOf(t, db, t.Context(), tenant.TenantSetting), who)
				require.Empty(t, settingOf(t, db, tenant.System(t.Context(), "count"), tenant.TenantSetting), who)
				var seen string
				require.NoError(t, db.Pool().QueryRow(t.Context(), tenantSetting).Scan(&seen))
				require.Empty(t, seen, who)
			}
		})
	}
}

func TestWhatOnlyReadsAnIdentityKeepsItsConnection(t *testing.T) {
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	for _, sql := range []string{
		"select current_user, current_setting('app.current_tenant', true)",
		"update notes.plain set body = current_setting('app.current_user', true)",
		"select set_config('app.current_tenant', 'acme', true)",
		"select set_config('app.current_tenant', coalesce('a, b', lower('x')), true), pg_catalog.set_config('app.current_user', '', true)",
		"select set_config('work_mem', '4MB', false)",
		"set local app.current_tenant = 'acme'",
		"select count(*) from pg_settings",
		"set work_mem = '4MB'",
	} {
		for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
			_, err := db.Exec(ctx, sql)
			require.NoError(t, err, sql)
		}
		require.EqualValues(t, 1, db.Stats().Opened, sql)
	}
	requireClean(t, db)
}
