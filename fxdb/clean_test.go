package fxdb_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestATaintedConnectionIsCleanedIfThePoolCanNameWhatIsLeft(t *testing.T) {
	t.Parallel()
	// left counts all that DISCARD ALL has to remove.
	const left = `select (select count(*) from pg_prepared_statements where from_sql)
		+ (select count(*) from pg_class where pg_is_other_temp_schema(relnamespace) is false and relpersistence = 't' and relkind = 'r')
		+ (select count(*) from pg_cursors where is_holdable)
		+ (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())
		+ (select count(*) from pg_settings where source = 'session' and name in ('work_mem', 'search_path', 'statement_timeout'))
		+ (coalesce(current_setting('app.current_tenant', true), '') <> '')::int
		+ (current_user <> session_user)::int`
	for _, c := range []struct {
		name, sql string
		cleaned   bool
	}{
		{"a setting", "set work_mem = '3MB'", true},
		{"a path", "set search_path = nowhere", true},
		{"a setting that the server reports", "set timezone = 'Asia/Tokyo'", true},
		{"an identity", "set app.current_tenant = 'acme'", true},
		{"a temporary table", "create temp table scratch (n int)", true},
		{"a prepared statement", "prepare mine as select 1", true},
		{"a lock of the session", "select pg_advisory_lock(7)", true},
		{"a cursor", "declare c cursor with hold for select 1", true},
		{"a dropped statement", "deallocate all", true},
		{"maintenance", "analyze", true},
		{"a limit", "set statement_timeout = '20s'", true},
		{"a role", "set role none", false},
		{"a channel", "listen jobs", false},
		{"a block", "do $$ begin perform setseed(0.5); end $$", false},
		{"a seed", "select setseed(0.5)", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var connects atomic.Int64
			db := reopen(t, testkit.DB(t), one, fxdb.WithOnConnect("count", func(context.Context, *pgx.Conn) error {
				connects.Add(1)
				return nil
			}))
			ctx := within(t)
			var before, after, found int
			require.NoError(t, db.QueryRow(ctx, "select pg_backend_pid()").Scan(&before))
			hooks := connects.Load()
			_, err := db.Exec(ctx, c.sql)
			require.NoError(t, err)
			require.NoError(t, db.QueryRow(ctx, "select pg_backend_pid()").Scan(&after), "a known statement is prepared anew")
			require.NoError(t, db.QueryRow(ctx, left).Scan(&found))
			require.Zero(t, found)
			require.Equal(t, c.cleaned, before == after)
			require.Equal(t, hooks+1, connects.Load(), "the hooks run for the next user")
			stats := db.Stats()
			if c.cleaned {
				require.EqualValues(t, 1, stats.TaintReset)
				require.Zero(t, stats.TaintClosed)
			} else {
				require.Zero(t, stats.TaintReset)
				require.EqualValues(t, 1, stats.TaintClosed)
			}
		})
	}
}

func TestATaintedConnectionIsCleanedThoughNobodyAsks(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Config(one))
	_, err := db.Exec(within(t), "create temp table scratch (n int)")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return db.Stats().TaintReset == 1 }, time.Minute, time.Millisecond)
}

func TestAConnectionThatCanNotBeCleanedIsClosed(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var fails atomic.Bool
	db := reopen(t, testkit.DB(t), one, fxdb.WithOnConnect("once", func(context.Context, *pgx.Conn) error {
		if fails.Swap(false) {
			return context.DeadlineExceeded
		}
		return nil
	}))
	_, err := db.Exec(within(t), "set work_mem = '3MB'")
	require.NoError(t, err)
	fails.Store(true)
	require.NoError(t, db.Ping(within(t)))
	require.EqualValues(t, 1, db.Stats().TaintClosed)
}
