package migrate_test

import (
	"context"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/testing/size"
)

// An interrupted CREATE INDEX CONCURRENTLY leaves an index that every later start finds
// in its way. The error names the index, and following it ends the trouble.
func TestTheErrorSaysHowAHalfDoneMigrationIsGotOutOf(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc, o := account(t)
	writer := observe(t, cc)
	fsys := tree(map[string]string{
		"00001_seen.sql":  "create table seen (n int);\n",
		"00002_index.sql": "-- +goose NO TRANSACTION\ncreate index concurrently \"Acct cents\" on public.acct (cents);\n",
	})
	writer.exec("begin")
	writer.exec("update acct set cents = 1") // the index build waits for the transaction
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- migrate.Up(ctx, cc, zap.NewNop(), source(fsys)) }()
	o.waitFor(nil, "select exists (select from pg_stat_activity"+
		" where datname = current_database() and query like 'create index%' and wait_event_type = 'Lock')")
	cancel()
	err := <-done
	writer.exec("rollback")
	require.ErrorIs(t, err, context.Canceled)
	mend := regexp.MustCompile(`drop index concurrently if exists public\."Acct cents"`)
	require.Regexp(t, mend, err.Error())
	t.Log(err)

	err = up(t, cc, fsys)
	require.ErrorContains(t, err, "already exists")
	require.Regexp(t, mend, err.Error())
	t.Log(err)

	o.exec(mend.FindString(err.Error()))
	require.NoError(t, up(t, cc, fsys))
	require.True(t, value[bool](o, `select indisvalid from pg_index where indexrelid = '"Acct cents"'::regclass`))
}

func TestTheErrorOfAHalfDoneMigrationSaysHowToRecordIt(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc, o := account(t)
	fsys := one("-- +goose NO TRANSACTION\ncreate table made (n int);\nselect 1/0;\n")
	err := up(t, cc, fsys)
	require.ErrorContains(t, err, "the effects of the migration's earlier statements stay")
	require.ErrorContains(t, err, "by hand")
	o.exec(regexp.MustCompile(`insert into .*\)`).FindString(err.Error()))
	require.NoError(t, up(t, cc, fsys))
	require.Equal(t, 1, value[int](o, "select count(*) from onepool.shop_sums"))
}

// A statement that failed alone has left nothing: advice would only hide the cause.
func TestNoAdviceWhereNothingIsHalfDone(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	err := up(t, cc, one("-- +goose NO TRANSACTION\ncreate index concurrently i on public.nowhere (n);\n"))
	require.ErrorContains(t, err, "nowhere")
	require.NotContains(t, err.Error(), "NO TRANSACTION")
	require.NotContains(t, up(t, cc, one("create table a (n int);\nselect 1/0;\n")).Error(), "NO TRANSACTION")
}

func TestTheErrorNamesSourceFileAndLine(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	for name, c := range map[string]struct{ text, want string }{
		"a position": {
			"create table a (n int);\n\n-- words\nselect n,\n       nothing\nfrom a;\n",
			`migrations "shop": 00001_a.sql:6: ERROR: column "nothing" does not exist`,
		},
		"after other letters": {"select 'äöü€',\n nothing;\n", `00001_a.sql:3: `},
		"no position":         {"select 1;\nselect\n1/0;\n", `00001_a.sql, statement at line 3: ERROR: division by zero`},
		"the same before": {
			"create table a (n int);\nselect 1;\ncreate table a (n int);\n",
			`00001_a.sql, statement at line 4: ERROR: relation "a" already exists`,
		},
		"Windows line ends": {"select 1;\r\n\r\nselect 1,\r\n nothing;\r\n", `00001_a.sql:5: `},
		"no transaction":    {"create table a (n int);\ncreate index concurrently i on a (n);\n", `begin the file with "-- +goose NO TRANSACTION"`},
		"a block":           {"-- +goose StatementBegin\nselect 1;\nselect nothing;\n-- +goose StatementEnd\n", `00001_a.sql:4: `},
		"a function's body": {
			"-- +goose StatementBegin\ncreate function f() returns int language sql as $$\n  select nothing\n$$;\n-- +goose StatementEnd\n",
			`00001_a.sql:4: `,
		},
		"text from a variable": {"-- +goose ENVSUB ON\nselect '${HOME}', nothing;\n", `00001_a.sql: ERROR: column "nothing"`},
		"a constraint deferred": {
			"create table a (n int unique deferrable initially deferred);\ninsert into a values (1), (1);\n",
			`00001_a.sql: ERROR: duplicate key`,
		},
		"no statement": {"select 1\n", `migrations "shop": `},
	} {
		err := up(t, cc, one(c.text)) // it is rolled back, so one database does for all
		require.ErrorContains(t, err, c.want, name)
		t.Log(err)
	}
}

func TestTheErrorOfADownNamesTheLineOfItsPart(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	fsys := one("select 1;\n-- +goose Down\nselect 1;\nselect 1/0;\n")
	require.NoError(t, up(t, cc, fsys))
	require.ErrorContains(t, migrate.Down(t.Context(), cc, source(fsys)),
		"00001_a.sql, statement at line 5: ERROR: division by zero")
}

// What may get better by itself is no final failure: the transaction was rolled back.
func TestWhichFailuresAreFinal(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	raise := func(state string) string {
		return "-- +goose StatementBegin\n" +
			"do $$ begin raise exception 'no' using errcode = '" + state + "'; end $$;\n-- +goose StatementEnd\n"
	}
	for name, c := range map[string]struct {
		text  string
		final bool
	}{
		"an error":                 {"select 1/0;\n", true},
		"a class 08 error":         {raise("08006"), true}, // a migration's own, such as that of a foreign server
		"no connection left":       {raise("53300"), true},
		"a lock timeout":           {raise("55P03"), false},
		"a deadlock":               {raise("40P01"), false},
		"a deadlock outside":       {"-- +goose NO TRANSACTION\n" + raise("40P01"), true},
		"a file that can't be run": {"select 1\n", true},
	} {
		var failed *migrate.Error
		require.ErrorAs(t, up(t, cc, one(c.text)), &failed, name)
		require.Equal(t, c.final, failed.Final(), failed)
		require.False(t, failed.Lost, name)
	}
}
