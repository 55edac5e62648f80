package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// preparers send a statement that its connection has not met.
var preparers = map[string]func(ctx context.Context, db *fxdb.DB, sql string, arg any) error{
	"Exec": func(ctx context.Context, db *fxdb.DB, sql string, arg any) error {
		_, err := db.Exec(ctx, sql, arg)
		return err
	},
	"Exec that describes": func(ctx context.Context, db *fxdb.DB, sql string, arg any) error {
		_, err := db.Exec(ctx, sql, pgx.QueryExecModeCacheDescribe, arg)
		return err
	},
	"Query": func(ctx context.Context, db *fxdb.DB, sql string, arg any) error {
		rows, err := db.Query(ctx, sql, arg)
		if err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	},
	"QueryRow": func(ctx context.Context, db *fxdb.DB, sql string, arg any) error {
		var n int
		return db.QueryRow(ctx, sql, arg).Scan(&n)
	},
	"SendBatch": func(ctx context.Context, db *fxdb.DB, sql string, arg any) error {
		b := &pgx.Batch{}
		b.Queue(sql, arg)
		return db.SendBatch(ctx, b).Close()
	},
	"InTx": func(ctx context.Context, db *fxdb.DB, sql string, arg any) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sql, arg)
			return err
		})
	},
	"Query of a transaction": func(ctx context.Context, db *fxdb.DB, sql string, arg any) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, sql, arg).Scan(new(int))
		})
	},
	"SendBatch of a transaction": func(ctx context.Context, db *fxdb.DB, sql string, arg any) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			b := &pgx.Batch{}
			b.Queue(sql, arg)
			return tx.SendBatch(ctx, b).Close()
		})
	},
	"Prepare of a transaction": func(ctx context.Context, db *fxdb.DB, sql string, _ any) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			_, err := tx.Prepare(ctx, "", sql)
			return err
		})
	},
	"database/sql": func(ctx context.Context, db *fxdb.DB, sql string, arg any) error {
		door := fxdbsql.Open(db)
		defer door.Close()
		return door.QueryRowContext(ctx, sql, arg).Scan(new(int))
	},
	"CopyFrom": func(ctx context.Context, db *fxdb.DB, _ string, arg any) error {
		_, err := db.CopyFrom(ctx, pgx.Identifier{"notes", "plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{arg}}))
		return err
	},
}

// A statement that is prepared waits for the locks of its tables.
func TestAClientsLimitsHoldWhileItsStatementIsPrepared(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	modes := []string{"cache_statement", "cache_describe", "exec", "simple_protocol"}
	for _, mode := range modes[:size.Of(1, 1, len(modes))] {
		own := notesDB(t)
		db := another(t, own, "&default_query_exec_mode="+mode)
		holder, err := own.Begin(within(t))
		require.NoError(t, err)
		_, err = holder.Exec(within(t), "lock table notes.plain")
		require.NoError(t, err)
		for name, use := range preparers {
			for limit, want := range map[fxdb.ServerTimeouts]string{
				{Statement: 50 * time.Millisecond, Lock: -1}:             "57014",
				{Statement: -1, Lock: 50 * time.Millisecond}:             "55P03",
				{Statement: time.Minute, Lock: 20 * time.Millisecond}:    "55P03",
				{Statement: 20 * time.Millisecond, Lock: 10 * time.Hour}: "57014",
			} {
				client := db.Named(name+want+limit.Lock.String(), fxdb.Timeouts(limit))
				for who, ctx := range map[string]context.Context{"nobody": within(t), "a tenant": as(t, "acme")} {
					ctx, cancel := context.WithTimeout(ctx, 8*time.Second) // shorter than the pool's own limits
					err := use(ctx, client, "select count(*) from notes.plain where id = $1 /* "+name+want+limit.Lock.String()+who+" */", 1)
					cancel()
					require.Equal(t, want, codeOf(err), "%s of %s, mode %s: %v", name, who, mode, err)
				}
			}
		}
		require.NoError(t, holder.Rollback(within(t)))
		for name, use := range preparers {
			require.NoError(t, use(as(t, "acme"), db.Named(name), "select count(*) from notes.plain where id = $1 /* free */", len(name)), name)
		}
	}
}

// Names are looked up when a statement is prepared: as the tenants' role does, never as
// the login.
func TestTheTenantsRoleHoldsWhileAStatementIsPrepared(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t, testkit.Config(one))
	role := own.Pool().Config().ConnConfig.User
	_, err := testkit.OwnerPool(t, own).Exec(within(t), "create schema hidden; create table hidden.plans (id int); revoke all on schema hidden from public, "+pgx.Identifier{role}.Sanitize())
	require.NoError(t, err)
	db, err := fxdb.Open(within(t), fxdb.Config{URL: asSuperuser(t, own).String(), TenantRole: role, PoolMin: 1, PoolMax: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
	for name, use := range preparers {
		if name == "CopyFrom" {
			continue
		}
		for who, ctx := range map[string]context.Context{"a tenant": as(t, "acme"), "nobody": tenant.System(within(t), "test")} {
			err := use(ctx, db, "select count(*) from hidden.missing_"+who[:1]+" where id = $1", 1)
			require.Equal(t, "42501", codeOf(err), "%s: %s learnt that a table is missing in a schema that the role may not use: %v", name, who, err)
		}
	}
}
