package fxdb_test

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// doors are the ways of a text to a session of the pool. What a door returns does not
// matter: the server, or a gate, may refuse the text.
func doors(t *testing.T, db *fxdb.DB) map[string]func(ctx context.Context, text string) error {
	all := scopedDoors(db)
	for name, mode := range map[string]pgx.QueryExecMode{
		"Exec, prepared": pgx.QueryExecModeCacheStatement, "Exec, described": pgx.QueryExecModeCacheDescribe,
		"Exec, describe_exec": pgx.QueryExecModeDescribeExec, "Exec, exec": pgx.QueryExecModeExec, "Exec, simple": pgx.QueryExecModeSimpleProtocol,
	} {
		all[name] = execOf(db, mode)
	}
	for name, opts := range map[string]func(text string) pgx.TxOptions{
		"BeginQuery":  func(text string) pgx.TxOptions { return pgx.TxOptions{BeginQuery: "begin; " + text} },
		"CommitQuery": func(text string) pgx.TxOptions { return pgx.TxOptions{CommitQuery: "commit; " + text} },
	} {
		all[name] = func(ctx context.Context, text string) error {
			return db.InTx(ctx, opts(text), func(pgx.Tx) error { return nil })
		}
	}
	all["a transaction's connection"] = func(ctx context.Context, text string) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Conn().Exec(ctx, text); return err })
	}
	all["a transaction's statement, by its name"] = func(ctx context.Context, text string) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			if _, err := tx.Prepare(ctx, "mine", text); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "mine")
			return err
		})
	}
	bare := func(use func(ctx context.Context, conn *pgxpool.Conn, text string) error) func(context.Context, string) error {
		return func(_ context.Context, text string) error {
			ctx := tenant.System(t.Context(), "a door")
			conn, err := db.Acquire(ctx)
			if err != nil {
				return err
			}
			defer conn.Release()
			return use(ctx, conn, text)
		}
	}
	all["Acquire"] = bare(func(ctx context.Context, conn *pgxpool.Conn, text string) error {
		_, err := conn.Exec(ctx, text)
		return err
	})
	all["Acquire, a rewriter"] = bare(func(ctx context.Context, conn *pgxpool.Conn, text string) error {
		_, err := conn.Exec(ctx, "select 1", rewriter(text))
		return err
	})
	all["Acquire, a batch"] = bare(func(ctx context.Context, conn *pgxpool.Conn, text string) error {
		return batchOf(ctx, conn, "select 1", text)
	})
	all["Acquire, by its name"] = bare(func(ctx context.Context, conn *pgxpool.Conn, text string) error {
		if _, err := conn.Conn().Prepare(ctx, "mine", text); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, "mine")
		return err
	})
	all["the raw pool"] = func(_ context.Context, text string) error {
		_, err := db.Pool().Exec(tenant.System(t.Context(), "a door"), text)
		return err
	}
	over := fxdbsql.Open(db)
	t.Cleanup(func() { require.NoError(t, over.Close()) })
	all["database/sql"] = func(ctx context.Context, text string) error { _, err := over.ExecContext(ctx, text); return err }
	all["database/sql, a statement"] = func(ctx context.Context, text string) error {
		st, err := over.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		defer st.Close()
		_, err = st.ExecContext(ctx)
		return err
	}
	all["database/sql, a connection"] = func(ctx context.Context, text string) error {
		conn, err := over.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = conn.ExecContext(ctx, text)
		return err
	}
	all["database/sql, a transaction"] = func(ctx context.Context, text string) error {
		tx, err := over.BeginTx(ctx, &sql.TxOptions{})
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err = tx.ExecContext(ctx, text); err != nil {
			return err
		}
		return tx.Commit()
	}
	return all
}

// taintingTexts are texts that leave something on a session.
func taintingTexts() map[string]string {
	all := maps.Clone(leftToNext)
	maps.Copy(all, map[string]string{
		"identity":             "set app.current_tenant = 'acme'",
		"identity, set_config": "select set_config('app.current_user', 'acme', false)",
		"identity, DO":         "do $$ begin perform set_config('app.current_tenant', 'acme', false); end $$",
		"time zone":            "set time zone 'PST8PDT'",
		"a limit":              "set statement_timeout = '99s'",
		"strings":              "set standard_conforming_strings = off",
		"a session's local":    "set session characteristics as transaction isolation level serializable",
		"a function":           "create function pg_temp.secrets() returns int language sql as 'select 1'",
		"kept rows":            "create temp table secrets (whose text) on commit preserve rows",
		"TEMP by DO":           "do $$ begin create temp table secrets (whose text); end $$",
		"the scope replaced":   "deallocate all; prepare onepool_1 (text, text, text) as select set_config('app.current_tenant', 'acme', true), $1, $2, $3",
		"behind a commit":      "select 1; commit; set work_mem = '3MB'",
	})
	return all
}

// fingerprint is what a user finds on a session: all settings and where they come from, the
// identity, and what sessionState has.
const fingerprint = `select (` + sessionState + `) || coalesce(current_setting('app.current_tenant', true), '') || '/' || coalesce(current_setting('app.current_user', true), '') || ' ' ||
	md5(string_agg(name || '=' || setting || source, ' ' order by name) filter (where name not like 'transaction\_%')) ||
	(select coalesce(string_agg(proname, ','), '') from pg_proc where pronamespace = pg_my_temp_schema()) from pg_settings`

// A session's next user finds the state of a new session, after every text and through
// every door.
func TestTheNextUserFindsHisOwnByEveryDoor(t *testing.T) {
	t.Parallel()
	own := notesDB(t, testkit.Config(one))
	texts := taintingTexts()
	names := slices.Sorted(maps.Keys(texts))
	require.GreaterOrEqual(t, len(names), 25)
	byDoor := doors(t, own)
	require.GreaterOrEqual(t, len(byDoor), 15)
	chosen := func(door, text int) bool { return (door+text)%size.Of(20, 16, 3) == 0 }
	t.Run("control", func(t *testing.T) { // without a pool each text leaves something
		t.Parallel()
		for i, name := range names {
			if !chosen(0, i) {
				continue
			}
			conn, err := pgx.Connect(t.Context(), own.Pool().Config().ConnString())
			require.NoError(t, err)
			var before, after string
			require.NoError(t, conn.QueryRow(t.Context(), fingerprint, pgx.QueryExecModeExec).Scan(&before))
			_, err = conn.Exec(t.Context(), texts[name])
			require.NoError(t, err, name)
			require.NoError(t, conn.QueryRow(t.Context(), fingerprint, pgx.QueryExecModeExec).Scan(&after))
			require.NotEqual(t, before, after, name)
			require.NoError(t, conn.Close(t.Context()))
		}
	})
	// The doors need only two pools of one connection.
	inOrder := slices.Sorted(maps.Keys(byDoor))
	for half := range 2 {
		t.Run([]string{"one half", "the other half, with the session check"}[half], func(t *testing.T) {
			t.Parallel()
			db, err := openOn(t, own.Pool().Config().ConnString()+"&sslmode=disable", func(c *fxdb.Config) { one(c); c.SessionCheck = half == 1 })
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close(context.Background())) })
			byDoor := doors(t, db)
			find := func(ctx context.Context) (found string) {
				require.NoError(t, db.QueryRow(ctx, fingerprint).Scan(&found))
				return found
			}
			his, nobodys := find(as(t, "globex")), find(t.Context())
			cells, sent := 0, 0
			for at := half; at < len(inOrder); at += 2 {
				door := inOrder[at]
				for i, name := range names {
					if !chosen(at, i) {
						continue
					}
					for who, ctx := range map[string]context.Context{"a tenant": as(t, "acme"), "nobody": within(t)} {
						if size.Of(true, true, false) && (who == "nobody") != (i%3 == 0) {
							continue
						}
						cells++
						if err := byDoor[door](ctx, texts[name]); err == nil {
							sent++
						}
						require.Equal(t, his, find(as(t, "globex")), "%s, by %s of %s", name, door, who)
						require.Equal(t, nobodys, find(t.Context()), "%s, by %s of %s", name, door, who)
						require.Zero(t, db.Stats().Active, "%s, by %s of %s", name, door, who)
					}
				}
			}
			t.Logf("%d cells, %d texts were not refused", cells, sent)
			require.Greater(t, sent, cells/2)
		})
	}
}
