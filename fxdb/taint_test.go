package fxdb_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/sqllex"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

func TestAnIdentitySetForASessionReachesNobodyElse(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestNothingOfASessionReachesTheNext")
	const (
		set    = "set app.current_tenant = 'acme'"
		config = "select set_config('app.current_tenant', 'acme', false)"
	)
	db := notesDB(t, testkit.Config(one))
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
		if size.Of(!slices.Contains([]string{"Exec", "set_config", "SendBatch", "InTx", "Acquire"}, name), false, false) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			for who, ctx := range map[string]context.Context{"nobody": t.Context(), "a tenant": as(t, "globex")} {
				if err := leave(ctx, db); who == "nobody" || !errors.As(err, new(*fxdb.ScopeError)) {
					require.NoError(t, err, who)
				}
				require.Empty(t, settingOf(t, db, t.Context(), tenant.TenantSetting), who)
				require.Empty(t, settingOf(t, db, tenant.System(t.Context(), "count"), tenant.TenantSetting), who)
				var seen string
				require.NoError(t, db.Pool().QueryRow(t.Context(), tenantSetting).Scan(&seen))
				require.Empty(t, seen, who)
			}
		})
	}
}

// keptConnections are texts that leave nothing which matters to the next user.
var keptConnections = []string{
	"select current_user, current_setting('app.current_tenant', true)",
	"update notes.plain set body = current_setting('app.current_user', true)",
	"select set_config('app.current_tenant', 'acme', true)",
	"select set_config('app.current_tenant', coalesce('a, b', lower('x')), true), pg_catalog.set_config('app.current_user', '', true)",
	"select set_config('work_mem', '4MB', true)",
	"select count(*) from pg_settings",
	"set local work_mem = '4MB'",
}

func TestWhatOnlyReadsAnIdentityKeepsItsConnection(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	for _, sql := range keptConnections {
		for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
			_, err := db.Exec(ctx, sql)
			if setsScope(ctx, sql) {
				require.ErrorAs(t, err, new(*fxdb.ScopeError), sql)
				continue
			}
			require.NoError(t, err, sql)
		}
		require.EqualValues(t, 1, db.Stats().Opened, sql)
	}
	requireClean(t, db)
}

// sessionState is what a session has beside its settings: temporary tables, cursors,
// who it is, where it looks for tables, channels and locks.
const sessionState = `select concat_ws(' ', (select string_agg(relname, ',') from pg_class where relnamespace = pg_my_temp_schema() and relkind <> 'i'),
	(select string_agg(name, ',') from pg_cursors where is_holdable), current_setting('role'), session_user, current_setting('search_path'), current_setting('row_security'),
	(select string_agg(c, ',') from pg_listening_channels() c),
	(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()), current_setting('default_transaction_read_only'),
	current_setting('work_mem'), current_setting('datestyle'), current_setting('client_encoding'), (select string_agg(name, ',') from pg_prepared_statements where from_sql))`

// leftToNext are texts that leave something which the session's next user would find or be.
var leftToNext = map[string]string{
	"TEMP TABLE":              "create temp table secrets as select 'acme' as whose",
	"TEMPORARY":               "CREATE\n\tGLOBAL TEMPORARY TABLE if not exists secrets (whose text)",
	"TEMP VIEW":               "create or replace temp view secrets as select 'acme' as whose",
	"TEMP SEQUENCE":           "/* x */ create temp sequence secrets",
	"pg_temp":                 "create table pg_temp.secrets (whose text)",
	"quoted pg_temp":          `create table "pg_temp"."secrets" (whose text)`,
	"SELECT INTO":             "select 'acme' as whose INTO Temp secrets",
	"WITH and INTO":           "with x as (select 'acme' as whose) select whose into temporary table secrets from x",
	"EXPLAIN ANALYZE":         "explain (analyze, costs off) create temp table secrets as select 'acme' as whose",
	"kept on commit":          "create temp table secrets (whose text) on commit delete rows",
	"DECLARE":                 "declare secrets cursor with hold for select 'acme'",
	"DECLARE SCROLL":          "DECLARE secrets INSENSITIVE SCROLL CURSOR\nWITH HOLD FOR SELECT 'acme'",
	"second of two":           "select 1; create temp table secrets (whose text)",
	"in DO":                   "do $body$ begin if true then create temp table secrets (whose text); end if; end $body$",
	"in DO's quoted body":     "do language plpgsql 'begin set role onepool_app; end'",
	"SET ROLE":                "set role onepool_app",
	"SET SESSION ROLE":        "SET SESSION ROLE onepool_app",
	"role by assignment":      "set role = 'onepool_app'",
	"role by set_config":      "select set_config('role', 'onepool_app', false)",
	"role by a written name":  "select set_config('ro' || 'le', 'onepool_app', false)",
	"search_path":             "set search_path = notes, public",
	"search_path quoted":      `set "search_path" = notes`,
	"search_path, set_config": "select set_config('search_path', 'notes', false)",
	"SET SCHEMA":              "set schema 'notes'",
	"row_security":            "select 1; set row_security to off",
	"CHARACTERISTICS":         "set session characteristics as transaction read only",
	"another setting":         "set work_mem = '3MB'",
	"another, set_config":     "select set_config('work_mem', '3MB', false)",
	"another, pg_settings":    "update pg_settings set setting = 'SQL, MDY' where name = 'DateStyle'",
	"another, written in DO":  "do $$ begin execute 'set work' || '_mem = ''3MB'''; end $$",
	"another, U&":             `set u&"work\005fmem" = '3MB'`,
	"encoding":                "set client_encoding = 'LATIN1'",
	"PREPARE":                 "prepare secrets as select 'acme'",
	"INTO pg_temp":            "select 'acme' as whose into pg_temp.secrets",
	"a local search_path":     "select set_config('search_path', 'pg_temp', true); create table secrets (whose text)",
	"a text that is run":      "select query_to_xml($$select set_config('work_mem', '3MB', false)$$, true, true, '')",
	"LISTEN":                  "listen secrets",
	"lock":                    "select pg_advisory_lock(1)",
	"upper-case lock":         "SELECT PG_ADVISORY_LOCK_SHARED(1)",
	"quoted lock":             `select pg_catalog."pg_try_advisory_lock"(1)`,
}

// setsScope reports whether the pool refuses sql: sql sets a setting of the tenant's scope.
func setsScope(ctx context.Context, sql string) bool {
	_, isTenant := tenant.FromContext(ctx)
	return isTenant && sqllex.Classify(sql).SetsGuarded
}

func TestNothingOfASessionReachesTheNext(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	state := func(ctx context.Context) (s string) {
		require.NoError(t, db.QueryRow(ctx, sessionState).Scan(&s))
		return s
	}
	clean := state(t.Context())
	nobody := func() context.Context { return t.Context() }
	acme := func() context.Context { return as(t, "acme") } // with a deadline of its own each time
	exec := func(ctx context.Context, sql string) error { _, err := db.Exec(ctx, sql); return err }
	inTx := func(ctx context.Context, sql string) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), sql); return err })
	}
	leave := func(leave func(ctx context.Context, sql string) error, ctx context.Context, sql string) {
		err := leave(ctx, sql)
		if setsScope(ctx, sql) {
			require.ErrorAs(t, err, new(*fxdb.ScopeError), sql)
			return
		}
		require.NoError(t, err, sql)
	}
	ways := []struct {
		name  string
		ctx   func() context.Context
		leave func(ctx context.Context, sql string) error
	}{
		{"nobody, Exec", nobody, exec}, {"a tenant, InTx", acme, inTx}, {"nobody, InTx", nobody, inTx}, {"a tenant, Exec", acme, exec},
	}
	turn := 0
	for name, sql := range leftToNext {
		if size.Of(!slices.Contains([]string{"TEMP TABLE", "DECLARE", "SET ROLE", "search_path", "LISTEN", "lock"}, name), false, false) {
			continue // Classify is checked for the text at every size
		}
		t.Run(name, func(t *testing.T) {
			turn++
			for _, way := range size.Of(ways[turn%2:turn%2+1], ways[turn%2:turn%2+1], ways) {
				leave(way.leave, way.ctx(), sql)
				require.Equal(t, clean, state(as(t, "globex")), way.name)
				leave(way.leave, way.ctx(), sql)
				require.Equal(t, clean, state(t.Context()), way.name)
			}
		})
	}
}

// A rewriter writes a text that was not there when pgx was given the first one.
type rewriter string

func (r rewriter) RewriteQuery(_ context.Context, _ *pgx.Conn, _ string, args []any) (string, []any, error) {
	return string(r), args, nil
}

func TestATextIsClassifiedAsItIsSent(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	tainted := func() uint64 { s := db.Stats(); return s.TaintReset + s.TaintClosed }
	var want uint64
	type way = func(ctx context.Context, sql string, args ...any) error
	ways := map[string]way{
		"Exec": func(ctx context.Context, sql string, args ...any) error {
			_, err := db.Exec(ctx, sql, args...)
			return err
		},
		"Query": func(ctx context.Context, sql string, args ...any) error {
			rows, err := db.Query(ctx, sql, args...)
			rows.Close()
			return cmp.Or(err, rows.Err())
		},
		"QueryRow": func(ctx context.Context, sql string, args ...any) error {
			return db.QueryRow(ctx, sql, args...).Scan(nil)
		},
		"SendBatch": func(ctx context.Context, sql string, args ...any) error {
			b := &pgx.Batch{}
			b.Queue("select 1")
			b.Queue(sql, args...)
			return db.SendBatch(ctx, b).Close()
		},
		"InTx": func(ctx context.Context, sql string, args ...any) error {
			return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, sql, args...); return err })
		},
		"a transaction's batch": func(ctx context.Context, sql string, args ...any) error {
			return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
				b := &pgx.Batch{}
				b.Queue(sql, args...)
				return tx.SendBatch(ctx, b).Close()
			})
		},
	}
	for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
		for name, way := range ways {
			require.NoError(t, way(ctx, "set work_mem = '3MB'", rewriter("select 'x'")), name)
			require.NoError(t, way(ctx, "select @a::text", pgx.NamedArgs{"a": "x"}), name)
			require.NoError(t, db.Ping(t.Context()))
			require.Equal(t, want, tainted(), "%s: what was sent was plain", name)
			for sql, r := range map[string]pgx.QueryRewriter{
				"select 1": rewriter("select set_config('work_mem', '3MB', false)"), "select set_config('work_mem', @a, false)": pgx.NamedArgs{"a": "3MB"},
			} {
				require.NoError(t, way(ctx, sql, r), name)
				require.NotEqual(t, "3MB", settingOf(t, db, t.Context(), "work_mem"), name)
				want++
				require.Equal(t, want, tainted(), "%s: %s", name, sql)
			}
		}
	}
}

func TestAClientsTaintsAreCounted(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	for _, sql := range []string{"set work_mem = '3MB'", "select 1", "listen jobs", "selec", "set local work_mem = '3MB'"} {
		_, _ = db.Named("setter").Exec(t.Context(), sql)
		_, _ = db.Named("reader").Exec(as(t, "acme"), "select 1")
	}
	_, err := db.Pool().Exec(t.Context(), "set work_mem = '3MB'")
	require.NoError(t, err)
	stats := db.Stats()
	tainted := make(map[string]uint64)
	for _, c := range stats.Clients {
		tainted[c.Name] = c.Tainted
	}
	require.EqualValues(t, 1, stats.TaintReset, "of SET")
	require.EqualValues(t, 1, stats.TaintClosed, "of LISTEN; nobody has asked for the third yet")
	require.Equal(t, map[string]uint64{"app": 0, "setter": 2, "reader": 0, "raw pool": 1}, tainted)
}

func TestATypoCostsNoConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	opened := db.Stats().Opened
	for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
		for _, args := range [][]any{nil, {pgx.QueryExecModeExec}, {1}} {
			_, err := db.Exec(ctx, "selec set_config('work_mem', '3MB', false)", args...)
			require.Error(t, err)
			require.NoError(t, db.Ping(t.Context()))
			require.Equal(t, opened, db.Stats().Opened)
		}
	}
}

func TestNothingIsPlainOnASessionThatReadsTextsOtherwise(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	odd := another(t, notesDB(t, testkit.Config(one)), "&standard_conforming_strings=off")
	opened := odd.Stats().Opened
	_, err := odd.Exec(t.Context(), "select 1")
	require.NoError(t, err)
	require.NoError(t, odd.Ping(t.Context()))
	require.Equal(t, opened+1, odd.Stats().Opened)
}

// TestTextsAreClassifiedByTheirRemains needs no server.
func TestTextsAreClassifiedByTheirRemains(t *testing.T) {
	t.Parallel()
	for name, sql := range leftToNext {
		require.True(t, fxdb.Taints(sql), "%s: %s", name, sql)
	}
	for _, sql := range slices.Concat(keptConnections, endedWithTransaction) {
		require.False(t, fxdb.Taints(sql), sql)
	}
}

// endedWithTransaction are texts whose effect on the session ends with the transaction.
var endedWithTransaction = []string{
	"create temp table scratch on commit drop as select 1 as n",
	"CREATE TEMPORARY TABLE scratch (n int) ON COMMIT\nDROP",
	"declare c cursor for select 1",
	"declare c no scroll cursor without hold for select 1",
	"set local datestyle = 'SQL'",
	"set local search_path = notes",
	"select set_config('search_path', 'notes', true)",
	"select pg_advisory_xact_lock(1)",
	"set constraints all deferred",
	"set transaction read only",
	"select 'x; listen secrets', $$; create temp table secrets ()$$ -- ; listen secrets",
	`select 1 as "create temp table; listen", 'it''s; set role a' /* ; set role b /* nested */ ; set role c */`,
	"select body as temp from notes.notes, (select 1 as role) set_role",
	"update notes.plain set body = 'role' where id = 7",
	"insert into notes.plain select 1, 'temp' where false",
}

func TestWhatEndsWithItsTransactionKeepsItsConnection(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	for _, sql := range endedWithTransaction {
		for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
			require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), sql); return err }), sql)
		}
		require.EqualValues(t, 1, db.Stats().Opened, sql)
	}
	requireClean(t, db)
}

func TestALockOfASessionEndsWithoutAnotherAcquire(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db, other := notesDB(t, testkit.Config(one)), notesDB(t)
	const key = 7_123_456
	var pid uint32
	require.NoError(t, db.QueryRow(t.Context(), "select pg_backend_pid() where pg_try_advisory_lock($1)", key).Scan(&pid))
	require.Eventually(t, func() (gone bool) {
		err := other.QueryRow(t.Context(), "select not exists (select from pg_locks where locktype = 'advisory' and pid = $1)", pid).Scan(&gone)
		return err == nil && gone
	}, patience, 10*time.Millisecond, "an idle connection keeps nobody's lock")
}
