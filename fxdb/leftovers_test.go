package fxdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
)

// What a statement of the pool leaves on its session serves nobody: the warning names what to use.
func TestWhatAStatementLeavesInVainIsWarnedOfOnceAClientAndKind(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.WarnLevel)
	db, err := fxdb.Open(within(t), fxdb.Config{URL: urlOf(t), PoolMin: 1, PoolMax: 2}, fxdb.WithLogger(zap.New(core)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	exec := func(ctx context.Context, db *fxdb.DB, sql string) error { _, err := db.Exec(ctx, sql); return err }
	query := func(ctx context.Context, db *fxdb.DB, sql string) error {
		rows, err := db.Query(ctx, sql)
		if err == nil {
			rows.Close()
			err = rows.Err()
		}
		return err
	}
	row := func(ctx context.Context, db *fxdb.DB, sql string) error {
		if err := db.QueryRow(ctx, sql).Scan(new(any)); err != nil && err.Error() != pgx.ErrNoRows.Error() {
			return err
		}
		return nil
	}
	batch := func(ctx context.Context, db *fxdb.DB, sql string) error { return batchOf(ctx, db, "select 1", sql) }
	rewritten := func(ctx context.Context, db *fxdb.DB, sql string) error {
		_, err := db.Exec(ctx, "select 1", rewriter(sql))
		return err
	}
	tx := func(ctx context.Context, db *fxdb.DB, sql string) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, sql); return err })
	}
	bySQL := func(ctx context.Context, db *fxdb.DB, sql string) error {
		sqlDB := fxdbsql.Open(db)
		defer sqlDB.Close()
		_, err := sqlDB.ExecContext(ctx, sql)
		return err
	}
	bare := func(ctx context.Context, db *fxdb.DB, sql string) error {
		conn, err := db.Acquire(ctx)
		if err != nil {
			return err
		}
		defer conn.Release()
		_, err = conn.Exec(ctx, sql)
		return err
	}
	type use = func(ctx context.Context, db *fxdb.DB, sql string) error
	for _, c := range []struct {
		sql, warning string // empty: none
		uses         map[string]use
	}{
		{"listen onepool_leftover", "DB.Listen", map[string]use{"Exec": exec, "Query": query, "QueryRow": row, "SendBatch": batch, "a rewriter": rewritten, "InTx": tx, "database/sql": bySQL}},
		{"set work_mem = '2MB'", "SET LOCAL", map[string]use{"Exec": exec, "Query": query, "QueryRow": row, "a rewriter": rewritten, "database/sql": bySQL}},
		{"select set_config('work_mem', '2MB', false)", "SET LOCAL", map[string]use{"Exec": exec, "Query": query, "QueryRow": row, "a rewriter": rewritten}},
		{"create temp table leftover ()", "ON COMMIT DROP", map[string]use{"Exec": exec, "QueryRow": row}},
		{"prepare leftover as select 1", "Leave out PREPARE", map[string]use{"Exec": exec}},
		{"declare leftover cursor with hold for select 1", "WITH HOLD", map[string]use{"Exec": exec}},
		{"do $$ begin perform pg_advisory_lock(42); end $$", "advisory lock", map[string]use{"Exec": exec}},
		{"select pg_advisory_lock(42)", "advisory lock", map[string]use{"a rewriter": rewritten}},
		{"unlisten *", "", map[string]use{"Exec": exec}},
		{"reset work_mem", "", map[string]use{"Exec": exec}},
		{"set local work_mem = '2MB'", "", map[string]use{"Exec": exec, "InTx": tx}},
		{"set work_mem = '2MB'", "", map[string]use{"InTx": tx, "SendBatch": batch, "Acquire": bare}},
		{"listen onepool_leftover", "", map[string]use{"Acquire": bare}},
		{"set work_mem = '2MB'; select 1", "", map[string]use{"Exec": exec}},
		{"create temp table leftover () on commit drop", "", map[string]use{"Exec": exec, "InTx": tx}},
		{"analyze notes.plain", "", map[string]use{"Exec": exec}},
		{"do $$ begin perform 1; end $$", "", map[string]use{"Exec": exec}},
		{"notify onepool_leftover", "", map[string]use{"Exec": exec}},
	} {
		for name, use := range c.uses {
			for who, ctx := range map[string]context.Context{"nobody": within(t), "a tenant": as(t, "acme")} {
				if name == "Acquire" && who == "a tenant" {
					continue
				}
				client, before := db.Named(c.sql+" by "+name+" of "+who), logs.Len()
				for range 2 {
					require.NoError(t, use(ctx, client, c.sql), "%s by %s of %s", c.sql, name, who)
				}
				if c.warning == "" {
					require.Equal(t, before, logs.Len(), "%s by %s of %s: %v", c.sql, name, who, logs.All()[min(before, logs.Len()-1)])
					continue
				}
				require.Equal(t, before+1, logs.Len(), "%s by %s of %s", c.sql, name, who)
				require.Contains(t, logs.All()[before].Message, c.warning)
			}
		}
	}
}

// A library that runs a statement on the raw pool loses what the statement leaves in the same way.
func TestWhatAStatementOfTheRawPoolLeavesInVainIsWarnedOf(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url := urlOf(t)
	ctx := within(t)
	exec := func(pool *pgxpool.Pool, sql string) error { _, err := pool.Exec(ctx, sql); return err }
	for name, c := range map[string]struct {
		sql, warning string // empty: none
		use          func(pool *pgxpool.Pool, sql string) error
	}{
		"Exec of LISTEN":     {"listen onepool_leftover", "DB.Listen", exec},
		"Exec of SET":        {"set work_mem = '2MB'", "SET LOCAL", exec},
		"Exec of a temp":     {"create temp table leftover ()", "ON COMMIT DROP", exec},
		"Exec of PREPARE":    {"prepare leftover as select 1", "Leave out PREPARE", exec},
		"Exec of SET LOCAL":  {"set local work_mem = '2MB'", "", exec},
		"Exec of NOTIFY":     {"notify onepool_leftover", "", exec},
		"Exec of UNLISTEN":   {"unlisten *", "", exec},
		"QueryRow of a lock": {"select pg_advisory_lock(42)", "advisory lock", func(pool *pgxpool.Pool, sql string) error { return pool.QueryRow(ctx, sql).Scan(nil) }},
		"Query of set_config": {"select set_config('work_mem', '2MB', false)", "SET LOCAL", func(pool *pgxpool.Pool, sql string) error {
			rows, err := pool.Query(ctx, sql)
			if err == nil {
				rows.Close()
				err = rows.Err()
			}
			return err
		}},
		"SendBatch of LISTEN": {"listen onepool_leftover", "DB.Listen", func(pool *pgxpool.Pool, sql string) error { return batchOf(ctx, pool, "select 1", sql) }},
		"SendBatch of SET":    {"set work_mem = '2MB'", "", func(pool *pgxpool.Pool, sql string) error { return batchOf(ctx, pool, sql, "select 1") }},
		"Acquire": {"listen onepool_leftover", "", func(pool *pgxpool.Pool, sql string) error {
			return pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { _, err := conn.Exec(ctx, sql); return err })
		}},
		"Begin": {"set work_mem = '2MB'", "", func(pool *pgxpool.Pool, sql string) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, sql); return err })
		}},
	} {
		core, logs := observer.New(zap.WarnLevel)
		db, err := fxdb.Open(ctx, fxdb.Config{URL: url, PoolMin: 1, PoolMax: 2}, fxdb.WithLogger(zap.New(core)))
		require.NoError(t, err)
		_ = logs.TakeAll() // of a second pool on the database
		for range 2 {
			require.NoError(t, c.use(db.Pool(), c.sql), name)
		}
		warned := logs.TakeAll()
		require.NoError(t, db.Close(context.Background()))
		if c.warning == "" {
			require.Empty(t, warned, name)
			continue
		}
		require.Len(t, warned, 1, name)
		require.Contains(t, warned[0].Message, c.warning, name)
		require.Equal(t, "app", warned[0].ContextMap()["client"], name)
	}
}
