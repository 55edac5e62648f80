package migrate_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
)

// tree is a file system of migrations, each with its text below "-- +goose Up".
func tree(files map[string]string) fs.FS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text)}
	}
	return out
}

func one(text string) fs.FS {
	return tree(map[string]string{"00001_a.sql": text})
}

// What a source leaves in its session must not reach the next: it would, only where both
// are applied in the same start.
func TestASourcesSessionDoesNotReachTheNext(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	server := pgfault.Start(t)
	for name, text := range map[string]string{
		"search_path":    "create schema a;\nset search_path = a;\n",
		"pg_dump's head": "select pg_catalog.set_config('search_path', '', false);\nset check_function_bodies = false;\n",
		"role": "grant usage on schema onepool to onepool_app;\n" +
			"grant all on all tables in schema onepool to onepool_app;\nset role onepool_app;\n",
		"statement_timeout": "set statement_timeout = '10s';\n",
		"read only":         "set default_transaction_read_only = on;\n",
		"a lock":            "select pg_advisory_lock(42);\n",
		"temporary table":   "create temp table t (n text);\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			admin, err := pgx.ParseConfig(server.URL())
			require.NoError(t, err)
			database := pgx.Identifier{name}.Sanitize()
			observe(t, admin).exec("create database " + database)
			cc := admin.Copy()
			cc.Database = name
			o := observe(t, cc)
			require.NoError(t, migrate.Up(t.Context(), cc, zap.NewNop(), []migrate.Source{
				{Name: "a", FS: one(text + "select 1;\n")},
				{Name: "b", FS: one("create table t (n int);\n" +
					"create table public.seen as select current_schema()::text as schema, current_user::text as role,\n" +
					"current_setting('statement_timeout') as timeout,\n" +
					"(select count(*) from pg_locks where objid = 42 and locktype = 'advisory'\n" +
					"and database = (select oid from pg_database where datname = current_database())) as locks;\n")},
			}))
			require.Equal(t, "public", value[string](o, "select schema from seen"))
			require.Equal(t, "postgres", value[string](o, "select role from seen"))
			require.Equal(t, "0", value[string](o, "select timeout from seen"))
			require.Zero(t, value[int](o, "select locks from seen"))
			require.True(t, value[bool](o, "select to_regclass('public.t') is not null"))
			require.Equal(t, 1, value[int](o, "select count(*) from onepool.a_sums"), "the sums were recorded")
			require.Equal(t, 1, value[int](o, "select count(*) from onepool.b_sums"), "the sums were recorded")
		})
	}
}

// limits is a migration that records the limits that it runs under.
const limits = "insert into public.limits" +
	" select current_setting('lock_timeout'), current_setting('statement_timeout')," +
	" current_setting('idle_session_timeout'), current_setting('idle_in_transaction_session_timeout');\n"

// A migration in a transaction keeps the limit on waits for locks: what waits for a
// table holds up all traffic behind it. One outside has none: an interrupted CREATE
// INDEX CONCURRENTLY leaves an invalid index.
func TestLockTimeoutHoldsInTransactionsOnly(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	o := observe(t, cc)
	o.exec("create table limits (lock text, statement text, idle text, idle_in_transaction text)")
	o.exec("alter database " + cc.Database + " set idle_session_timeout = '1min'")
	outside := "-- +goose NO TRANSACTION\n"
	fsys := tree(map[string]string{
		"00001_in.sql": limits, "00002_out.sql": outside + limits, "00003_in.sql": limits,
		"00004_reset.sql": outside + "discard all;\nreset all;\n" + limits, "00005_in.sql": limits,
	})
	const ten, none = 10 * time.Second, time.Duration(0)
	for name, c := range map[string]struct {
		database, connection string
		option               time.Duration
		inside               string
	}{
		"nobody says one":                      {inside: "0"},
		"the pool's":                           {option: ten, inside: "10s"},
		"the connection's":                     {connection: "2000", inside: "2s"},
		"the connection's before the pool's":   {connection: "2000", option: ten, inside: "2s"},
		"none, by the connection":              {connection: "0", option: ten, inside: "0"},
		"the database's before the pool's":     {database: "3000", option: ten, inside: "3s"},
		"the connection's before the database": {database: "3000", connection: "2000", option: ten, inside: "2s"},
		"none, by the database":                {database: "0", option: ten, inside: "0"},
	} {
		cc := cc.Copy()
		o.exec("truncate limits")
		o.exec("alter database " + cc.Database + " reset lock_timeout")
		if c.database != "" {
			o.exec("alter database " + cc.Database + " set lock_timeout = " + c.database)
		}
		if c.connection != "" {
			cc.RuntimeParams["lock_timeout"] = c.connection
		}
		var opts []migrate.Option
		if c.option != none {
			opts = append(opts, migrate.LockTimeout(c.option))
		}
		require.NoError(t, migrate.Up(t.Context(), cc, zap.NewNop(), []migrate.Source{{
			Name: strings.NewReplacer(" ", "_", "'", "", ",", "").Replace(name), FS: fsys,
		}}, opts...), name)
		rows, err := o.conn.Query(t.Context(),
			"select lock || ' ' || statement || ' ' || idle || ' ' || idle_in_transaction from limits")
		require.NoError(t, err)
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		const rest = " 0 0 0"
		require.Equal(t, []string{c.inside + rest, "0" + rest, c.inside + rest, "0" + rest, c.inside + rest}, got, name)
	}
}

// A migration may say what its transaction is before its first query, as with goose alone.
func TestAMigrationMayBeginWithSetTransaction(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	fsys := one("set transaction isolation level serializable;\n" +
		"create table level as select current_setting('transaction_isolation') as level;\n")
	require.NoError(t, migrate.Up(t.Context(), cc, zap.NewNop(), source(fsys), migrate.LockTimeout(time.Second)))
	require.Equal(t, "serializable", value[string](observe(t, cc), "select level from level"))
}

// Prepared statements that goose relies on would be gone, and the lock.
func TestAMigrationMayDiscardAll(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	fsys := tree(map[string]string{
		"00001_a.sql": "create table a (n int);\n",
		"00002_b.sql": "-- +goose NO TRANSACTION\ndiscard all;\n",
		"00003_c.sql": "deallocate all;\nselect pg_advisory_unlock_all();\n",
		"00004_d.sql": "create table d (n int);\n",
	})
	require.NoError(t, up(t, cc, fsys))
	require.Equal(t, 4, value[int](observe(t, cc), "select max(version_id) from onepool.shop_versions"))
}
