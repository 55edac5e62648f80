package fxdb_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// several are texts of several statements. The last of the statements must count: n of notes.plain.
var several = map[string]struct {
	sql  string
	args []any
}{
	"rows first":        {"select 'one'; insert into notes.plain values (1)", nil},
	"rows last":         {"insert into notes.plain values (1); select 'one'", nil},
	"parameters":        {"select $1::text; insert into notes.plain values ($2)", []any{"one", 1}},
	"named arguments":   {"select @s::text; insert into notes.plain values (@n)", []any{pgx.NamedArgs{"s": "one", "n": 1}}},
	"an error behind":   {"select 'one'; insert into notes.plain values (1); select 1/0", nil},
	"an error in front": {"select 1/0; select 'one'", nil},
	"at the commit":     {"select 'one'; insert into notes.plain values (1, 'x'), (2, 'x')", nil},
	"no text to scan":   {"select 1; insert into notes.plain values (1)", nil},
	"several rows":      {"select unnest('{one,two}'::text[]); insert into notes.plain values (1)", nil},
	"its own level":     {"set transaction isolation level serializable; select 'one'; insert into notes.plain values (1)", nil},
	"its end":           {"select 'one';", nil},
	"nothing":           {"; ;", nil},
}

// severalUses are the methods that read rows. Each returns what a program sees.
var severalUses = map[string]func(ctx context.Context, db sender, sql string, args ...any) string{
	"Query": func(ctx context.Context, db sender, sql string, args ...any) string {
		rows, err := db.Query(ctx, sql, args...)
		if err != nil {
			return "failed " + codeOf(err)
		}
		defer rows.Close()
		got := "rows"
		for rows.Next() {
			var s string
			_ = rows.Scan(&s)
			got += " " + s
		}
		return fmt.Sprintf("%s %s %s", got, rows.CommandTag(), codeOf(rows.Err()))
	},
	"Query, one row": func(ctx context.Context, db sender, sql string, args ...any) string {
		rows, err := db.Query(ctx, sql, args...)
		if err != nil {
			return "failed " + codeOf(err)
		}
		has := rows.Next()
		rows.Close()
		return fmt.Sprintf("%v %s", has, codeOf(rows.Err()))
	},
	"QueryRow": func(ctx context.Context, db sender, sql string, args ...any) string {
		var s string
		err := db.QueryRow(ctx, sql, args...).Scan(&s)
		if code := codeOf(err); code != "" {
			return s + " " + code
		}
		return fmt.Sprint(s, " ", err)
	},
}

func TestSeveralStatementsReturnTheRowsOfTheFirst(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	plain := plainPool(t, db)
	simple := another(t, db, "&default_query_exec_mode=simple_protocol")
	limited := db.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: patience}))
	for name, c := range several {
		for method, use := range severalUses {
			run := func(ctx context.Context, db sender, options ...any) string {
				got := use(ctx, db, c.sql, append(options, c.args...)...)
				tag, err := plain.Exec(within(t), "delete from notes.plain")
				require.NoError(t, err)
				return got + ", left " + tag.String()
			}
			want := run(within(t), plain, pgx.QueryExecModeSimpleProtocol)
			require.Equal(t, want, run(as(t, "acme"), db, pgx.QueryExecModeSimpleProtocol), "%s by %s of a tenant", name, method)
			require.Equal(t, want, run(as(t, "acme"), simple), "%s by %s of a tenant of a simple pool", name, method)
			require.Equal(t, want, run(within(t), limited, pgx.QueryExecModeSimpleProtocol), "%s by %s of a client with limits", name, method)
			require.NoError(t, db.InTx(as(t, "acme"), pgx.TxOptions{}, func(tx pgx.Tx) error {
				if name != "at the commit" && name != "an error in front" && name != "an error behind" {
					require.NotContains(t, use(as(t, "acme"), tx, c.sql, append([]any{pgx.QueryExecModeSimpleProtocol}, c.args...)...), "42601", name)
				}
				return nil
			}), name)
			_, err := plain.Exec(within(t), "delete from notes.plain")
			require.NoError(t, err)
		}
	}
	requireClean(t, db)
	requireClean(t, simple)
}

// The rows, the statements behind the rows and a rewriter's text are the tenant's.
func TestSeveralStatementsRunWithTheTenant(t *testing.T) {
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	var got, kept string
	require.NoError(t, db.QueryRow(as(t, "acme"), tenantSetting+"; insert into notes.notes (body) values ('kept')", pgx.QueryExecModeSimpleProtocol).Scan(&got))
	require.Equal(t, "acme", got)
	require.NoError(t, db.QueryRow(as(t, "acme"), "", pgx.QueryExecModeSimpleProtocol, rewriter("select tenant_id from notes.notes; delete from notes.notes")).Scan(&kept))
	require.Equal(t, "acme", kept)
	err := db.QueryRow(as(t, "acme"), "select 'x'; commit; select 1", pgx.QueryExecModeSimpleProtocol).Scan(&got)
	var refused *fxdb.ScopeError
	require.ErrorAs(t, err, &refused)
	requireClean(t, db)
}

func TestSeveralStatementsByDatabaseSQL(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	plain := stdlib.OpenDBFromPool(plainPool(t, db))
	defer plain.Close()
	own := fxdbsql.Open(db)
	defer own.Close()
	for name, c := range several {
		run := func(ctx context.Context, db *sql.DB) string {
			got := "rows"
			rows, err := db.QueryContext(ctx, c.sql, append([]any{pgx.QueryExecModeSimpleProtocol}, c.args...)...)
			if err == nil {
				defer rows.Close()
				for rows.Next() {
					var s string
					_ = rows.Scan(&s)
					got += " " + s
				}
				err = rows.Err()
			}
			result, delErr := db.ExecContext(ctx, "delete from notes.plain")
			require.NoError(t, delErr)
			n, _ := result.RowsAffected()
			return fmt.Sprint(got, " ", codeOf(err), " left ", n)
		}
		require.Equal(t, run(within(t), plain), run(as(t, "acme"), own), name)
	}
	requireClean(t, db)
}

// pgx sends a batch of the simple protocol as one text: a member may be several statements.
func TestAMemberOfABatchMayBeSeveralStatements(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	simple := another(t, db, "&default_query_exec_mode=simple_protocol")
	plain := plainPool(t, db, func(pc *pgxpool.Config) { pc.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol })
	limited := simple.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: patience}))
	for name, c := range several {
		run := func(ctx context.Context, db sender) string {
			b := &pgx.Batch{}
			b.Queue("select 'before'")
			b.Queue(c.sql, c.args...)
			b.Queue("select 'behind'")
			br := db.SendBatch(ctx, b)
			var got, s string
			for range 4 {
				err := br.QueryRow().Scan(&s)
				got += s + codeOf(err) + " "
			}
			if name == "at the commit" { // the commit's error is the error of the last statement, or of Close
				got = ""
			}
			err := br.Close()
			tag, delErr := plain.Exec(within(t), "delete from notes.plain")
			require.NoError(t, delErr)
			return got + codeOf(err) + " left " + tag.String()
		}
		want := run(within(t), plain)
		require.Equal(t, want, run(as(t, "acme"), simple), "%s of a tenant", name)
		require.Equal(t, want, run(within(t), limited), "%s of a client with limits", name)
	}
	b := &pgx.Batch{}
	b.Queue(tenantSetting + "; select 1")
	var who string
	br := simple.SendBatch(as(t, "acme"), b)
	require.NoError(t, br.QueryRow().Scan(&who))
	require.NoError(t, br.Close())
	require.Equal(t, "acme", who)
	requireClean(t, simple)
}
