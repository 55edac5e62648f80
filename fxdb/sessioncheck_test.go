package fxdb_test

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// unseen are statements that a function runs, and that leave something on the session. The
// texts of the callers are plain.
var unseen = map[string]string{
	"a role":               "perform set_config('role', session_user, false)",
	"a path":               "perform set_config('search_path', 'notes', false)",
	"a tenant":             "perform set_config('app.current_tenant', 'acme', false)",
	"a user":               "perform set_config('app.current_user', 'ann', false)",
	"a setting":            "perform set_config('work_mem', '3MB', false)",
	"a limit":              "perform set_config('statement_timeout', '99s', false)",
	"a temporary table":    "create temp table plain (id int, body text)",
	"a prepared statement": "execute 'prepare mine as select 1'",
	"a channel":            "execute 'listen jobs'",
	"a cursor":             "execute 'declare mine cursor with hold for select 1'",
	"a lock":               "perform pg_advisory_lock(7)",
}

// carriersSQL makes what runs the statements: a function, an operator, a view and a trigger.
func carriersSQL() string {
	sql := "create function notes.leaves(what text) returns text language plpgsql as $$ begin case what when '' then null;\n"
	for _, name := range slices.Sorted(maps.Keys(unseen)) {
		sql += "when '" + name + "' then " + unseen[name] + ";\n"
	}
	sql += `end case; return what; end $$;
create operator notes.@#@ (function = notes.leaves, rightarg = text);
create view notes.leaving as select what, notes.leaves(what) as found from (values ('')`
	for _, name := range slices.Sorted(maps.Keys(unseen)) {
		sql += ", ('" + name + "')"
	}
	return sql + `) v (what);
create table notes.carriers (what text);
create function notes.leaves() returns trigger language plpgsql as $$ begin perform notes.leaves(new.what); return new; end $$;
create trigger leaves before insert on notes.carriers for each row execute function notes.leaves();
grant select on notes.leaving to onepool_app;
grant insert on notes.carriers to onepool_app;`
}

// carriers are plain texts with the name of what is left as an argument.
var carriers = []string{
	"select notes.leaves($1)",
	"select operator(notes.@#@) $1::text",
	"select found from notes.leaving where what = $1",
	"insert into notes.carriers values ($1) returning what",
}

// checked opens a pool of one connection on a database with carriers, and finds what a user of
// the raw pool finds.
func checked(t *testing.T, own *fxdb.DB, check bool, opts ...fxdb.Option) (db *fxdb.DB, find func() string) {
	t.Helper()
	db = reopen(t, own, func(c *fxdb.Config) { one(c); c.SessionCheck = check }, opts...)
	return db, func() (found string) {
		require.NoError(t, db.Pool().QueryRow(tenant.System(within(t), "look"), fingerprint+" where name not like 'plpgsql.%'", pgx.QueryExecModeExec).Scan(&found))
		return found
	}
}

func carriersDB(t *testing.T) *fxdb.DB {
	t.Helper()
	own := notesDB(t, testkit.Config(one))
	_, err := testkit.OwnerPool(t, own).Exec(within(t), carriersSQL())
	require.NoError(t, err)
	return own
}

// doorsOf are the ways of a plain text with an argument to a session.
func doorsOf(t *testing.T, db *fxdb.DB) map[string]func(ctx context.Context, sql, what string) error {
	over := fxdbsql.Open(db)
	t.Cleanup(func() { require.NoError(t, over.Close()) })
	inTx := func(end error) func(ctx context.Context, sql, what string) error {
		return func(ctx context.Context, sql, what string) error {
			err := db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, sql, what); err != nil {
					return err
				}
				return end
			})
			if err == end { //nolint:errorlint // InTx returns the error of the function
				return nil
			}
			return err
		}
	}
	return map[string]func(ctx context.Context, sql, what string) error{
		"Exec": func(ctx context.Context, sql, what string) error { _, err := db.Exec(ctx, sql, what); return err },
		"Exec, simple": func(ctx context.Context, sql, what string) error {
			_, err := db.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol, what)
			return err
		},
		"Query": func(ctx context.Context, sql, what string) error {
			rows, err := db.Query(ctx, sql, what)
			if err == nil {
				rows.Close()
				err = rows.Err()
			}
			return err
		},
		"QueryRow": func(ctx context.Context, sql, what string) error { return db.QueryRow(ctx, sql, what).Scan(&what) },
		"SendBatch": func(ctx context.Context, sql, what string) error {
			b := &pgx.Batch{}
			b.Queue(sql, what)
			b.Queue("select 1")
			return db.SendBatch(ctx, b).Close()
		},
		"CopyFrom": func(ctx context.Context, _, what string) error {
			_, err := db.CopyFrom(ctx, pgx.Identifier{"notes", "carriers"}, []string{"what"}, pgx.CopyFromRows([][]any{{what}}))
			return err
		},
		"InTx": inTx(nil),
		"BeginTx, other": func(ctx context.Context, sql, what string) error {
			return db.InTx(ctx, pgx.TxOptions{BeginQuery: "begin"}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, sql, what); return err })
		},
		"Acquire": func(ctx context.Context, sql, what string) error {
			conn, err := db.Acquire(tenant.System(t.Context(), "a door"))
			if err != nil {
				return err
			}
			defer conn.Release()
			_, err = conn.Exec(ctx, sql, what)
			return err
		},
		"the raw pool": func(ctx context.Context, sql, what string) error {
			_, err := db.Pool().Exec(tenant.System(t.Context(), "a door"), sql, what)
			return err
		},
		"AcquireAllIdle": func(_ context.Context, sql, what string) error {
			conns := db.Pool().AcquireAllIdle(tenant.System(t.Context(), "a door"))
			require.Len(t, conns, 1)
			defer conns[0].Release()
			_, err := conns[0].Exec(within(t), sql, what)
			return err
		},
		"database/sql": func(ctx context.Context, sql, what string) error {
			_, err := over.ExecContext(ctx, sql, what)
			return err
		},
	}
}

func TestAFunctionLeavesNothingToTheNextUser(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := carriersDB(t)
	names := slices.Sorted(maps.Keys(unseen))
	t.Run("without the check", func(t *testing.T) { // so that the table can fail
		t.Parallel()
		db, find := checked(t, own, false)
		clean := find()
		var seen []string
		for _, name := range names {
			require.NoError(t, db.QueryRow(within(t), carriers[0], name).Scan(new(string)))
			if find() == clean {
				seen = append(seen, name)
			}
			db.Pool().Reset()
		}
		if slices.Contains(seen, "a path") { // from PostgreSQL 18 on the server reports the path
			seen = slices.DeleteFunc(seen, func(name string) bool { return name == "a path" })
		}
		require.Empty(t, seen, "nothing is left of these")
	})
	t.Run("with the check", func(t *testing.T) {
		t.Parallel()
		db, find := checked(t, own, true)
		clean := find()
		doors := doorsOf(t, db)
		cell := 0
		for _, door := range slices.Sorted(maps.Keys(doors)) {
			for i, name := range names {
				if cell++; cell%size.Of(7, 3, 1) != 0 {
					continue
				}
				for who, ctx := range map[string]context.Context{"a tenant": as(t, "globex"), "nobody": within(t)} {
					require.NoError(t, doors[door](ctx, carriers[(cell+i)%len(carriers)], name), "%s by %s of %s", name, door, who)
					require.Equal(t, clean, find(), "%s by %s of %s", name, door, who)
				}
			}
		}
		require.NotZero(t, db.Stats().TaintClosed)
	})
}

func TestWhatAFunctionLeavesIsCountedAndLoggedOnce(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	core, logs := observer.New(zap.WarnLevel)
	db, _ := checked(t, carriersDB(t), true, fxdb.WithLogger(zap.New(core)))
	setter := db.Named("setter")
	for range 2 {
		require.NoError(t, setter.QueryRow(as(t, "globex"), carriers[0], "a tenant").Scan(new(string)))
		require.NoError(t, db.QueryRow(as(t, "globex"), "select $1::text", "x").Scan(new(string)))
	}
	stats := db.Stats()
	require.EqualValues(t, 2, stats.TaintClosed)
	require.Zero(t, stats.TaintReset)
	for _, c := range stats.Clients {
		require.Equal(t, map[string]uint64{"app": 0, "setter": 2}[c.Name], c.Tainted, c.Name)
	}
	logged := logs.FilterMessageSnippet("a session keeps").All()
	require.Len(t, logged, 1)
	fields := logged[0].ContextMap()
	require.Equal(t, "setter", fields["client"])
	require.Equal(t, tenant.TenantSetting, fields["left"])
	require.Equal(t, carriers[0], fields["statement"])
	require.NotContains(t, logged[0].Message, "acme")
}

func TestOrdinaryWorkOfACheckedPoolTaintsNothing(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t, testkit.Config(one))
	for name, opts := range map[string][]fxdb.Option{
		"as it comes":          nil,
		"sessions for tenants": {fxdb.WithRawPool(fxdb.RawPoolSession)},
		"hooks that set sessions": {fxdb.WithOnConnect("set", func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "set search_path = notes; create temp table if not exists own (n int); prepare own as select 1; listen own")
			return err
		})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, _ := checked(t, own, true, opts...)
			limited := db.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: time.Minute}))
			for _, ctx := range []context.Context{within(t), as(t, "acme"), as(t, "globex"), within(t)} {
				for _, use := range []func() error{
					func() error { _, err := db.Exec(ctx, "select 1"); return err },
					func() error { return db.QueryRow(ctx, "select $1::text", "x").Scan(new(string)) },
					func() error { return limited.QueryRow(ctx, "select $1::text", "x").Scan(new(string)) },
					func() error {
						return batchOf(ctx, db, "select 1", "create temp table scratch (n int) on commit drop", "select 2")
					},
					func() error {
						return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "declare c cursor for select 1"); return err })
					},
					func() error { _, err := db.Exec(ctx, "selec"); require.Error(t, err); return nil },
					func() error { require.Error(t, batchOf(ctx, db, "select 1", "select 1/0")); return nil },
					func() error {
						tx, err := db.Begin(ctx)
						if err != nil {
							return err
						}
						_, err = tx.Exec(ctx, "select 1/0")
						require.Error(t, err)
						return tx.Rollback(ctx)
					},
					func() error {
						_, err := db.CopyFrom(ctx, pgx.Identifier{"notes", "plain"}, []string{"id", "body"}, pgx.CopyFromRows(nil))
						return err
					},
					func() error {
						conn, err := limited.Acquire(tenant.System(within(t), "bare"))
						if err != nil {
							return err
						}
						defer conn.Release()
						return conn.Ping(within(t))
					},
					func() error {
						if name != "sessions for tenants" {
							ctx = tenant.System(within(t), "raw")
						}
						return db.Pool().QueryRow(ctx, tenantSetting).Scan(new(string))
					},
				} {
					require.NoError(t, use())
				}
			}
			stats := db.Stats()
			require.Zero(t, stats.TaintClosed+stats.TaintReset)
			require.EqualValues(t, 1, stats.Opened)
		})
	}
}

// The look travels in the write of the statement: the caller waits for nothing more.
func TestACheckTakesNoFlight(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	for name, use := range map[string]func(ctx context.Context, db *fxdb.DB) error{
		"Exec": func(ctx context.Context, db *fxdb.DB) error { _, err := db.Exec(ctx, "select $1::int", 1); return err },
		"QueryRow": func(ctx context.Context, db *fxdb.DB) error {
			return db.QueryRow(ctx, "select $1::int", 1).Scan(new(int))
		},
		"SendBatch": func(ctx context.Context, db *fxdb.DB) error { return batchOf(ctx, db, "select 1", "select 2") },
		"CopyFrom": func(ctx context.Context, db *fxdb.DB) error {
			_, err := db.CopyFrom(ctx, pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows([][]any{{"x"}}))
			return err
		},
		"InTx": func(ctx context.Context, db *fxdb.DB) error {
			return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return tx.QueryRow(ctx, "select $1::int", 1).Scan(new(int)) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			var flights [2][3]int64
			for i, check := range []bool{false, true} {
				db, err := fxdb.Open(t.Context(), fxdb.Config{URL: w.URL, PoolMin: 1, PoolMax: 1, SessionCheck: check}, noPings())
				require.NoError(t, err)
				defer func() { require.NoError(t, db.Close(context.Background())) }()
				_, err = db.Exec(as(t, "acme"), "select 1") // behind the look at the start
				require.NoError(t, err)
				for n := range flights[i] {
					flights[i][n] = w.during(t, func() error { return use(as(t, "acme"), db) })
				}
				require.Zero(t, db.Stats().TaintClosed)
			}
			require.Equal(t, flights[0], flights[1], "three uses, without the check and with the check")
		})
	}
}

// holdLook holds up the looks on the wire until the test calls arrive.
func holdLook(w *wire) (arrive func()) {
	arrives := make(chan struct{})
	w.Judge(func(b []byte) (forward, cut bool) {
		if bytes.Contains(b, []byte("what the session keeps")) {
			<-arrives
		}
		return true, false
	})
	return sync.OnceFunc(func() { close(arrives) })
}

func TestACallerWhoGivesUpLeavesTheAnswerToTheNext(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	db := w.open(t, func(c *fxdb.Config) { c.SessionCheck = true })
	_, err := db.Exec(as(t, "acme"), "select 1") // takes its look along
	require.NoError(t, err)
	arrive := holdLook(w)
	defer arrive()
	_, err = db.Pool().Exec(within(t), "select 2")
	require.NoError(t, err, "the caller does not wait for the look")
	soon, cancel := context.WithTimeout(within(t), 20*time.Millisecond)
	defer cancel()
	_, err = db.Exec(soon, "select 3")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 1, db.Stats().Idle, "the connection waits for the answer")
	arrive()
	_, err = db.Exec(within(t), "select 4")
	require.NoError(t, err)
	require.EqualValues(t, 1, db.Stats().Opened)
	require.Zero(t, db.Stats().TaintClosed)
}

func TestAPoolThatCanNotLookDoesNotStart(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t, testkit.Config(one))
	admin, err := pgx.Connect(within(t), asSuperuser(t, own).String())
	require.NoError(t, err)
	defer admin.Close(context.Background())
	_, err = admin.Exec(within(t), "revoke execute on function pg_catalog.pg_listening_channels() from public")
	require.NoError(t, err)
	_, err = openOn(t, own.Pool().Config().ConnString(), func(c *fxdb.Config) { c.SessionCheck = true })
	require.ErrorContains(t, err, "DB_SESSION_CHECK")
	require.ErrorContains(t, err, "pg_listening_channels")
}
