package testkit_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestAsRefusesWhatIsNoTenant(t *testing.T) {
	t.Parallel()
	got := rehearse(t, func(t testing.TB) { testkit.As(t, " ") })
	require.Contains(t, got, "testkit: As:")
}

func TestInsertWritesAllRowsOrNone(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Migrations("notes", notes))
	acme := testkit.As(t, "acme")
	got := rehearse(t, func(t testing.TB) {
		testkit.Insert(acme, t, db, "notes.notes", testkit.Row{"body": "one"}, testkit.Row{"no such": 1})
	})
	require.Contains(t, got, "testkit: Insert: notes.notes:")
	testkit.RequireCount(acme, t, db, 0, "notes.notes")
	testkit.Insert(acme, t, db, "notes.notes")
	testkit.RequireCount(acme, t, db, 0, "notes.notes")
}

func TestInsertQuotesNames(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), `create schema "a b"; create table "a b"."C" ("d e" int, f int default 7);
		grant usage on schema "a b" to onepool_app; grant all on "a b"."C" to onepool_app`)
	require.NoError(t, err)
	testkit.Insert(t.Context(), t, db, "a b.C", testkit.Row{"d e": 1}, testkit.Row{"f": 2}, testkit.Row{})
	type row struct {
		DE *int `db:"d e"`
		F  int
	}
	one := 1
	testkit.RequireRows(t.Context(), t, db, []row{{nil, 2}, {nil, 7}, {&one, 7}}, `select * from "a b"."C" order by "d e" nulls first, f`)
	testkit.Truncate(t, db)
	testkit.RequireCount(t.Context(), t, db, 0, "a b.C")
}

func TestFixtureNamesTheFile(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Migrations("notes", notes))
	files := fstest.MapFS{
		"a.sql": {Data: []byte("select set_config('app.current_tenant', 'acme', true); insert into notes.notes (body) values ('a')")},
		"b.sql": {Data: []byte("select set_config('app.current_tenant', 'acme', true); insert into notes.notes (body) values ('b'); select 1/0")},
	}
	require.Contains(t, rehearse(t, func(t testing.TB) { testkit.Fixture(t, db, files, "*.sql") }), "testkit: Fixture: b.sql: ERROR: division by zero")
	require.Contains(t, rehearse(t, func(t testing.TB) { testkit.Fixture(t, db, files, "c*.sql") }), "testkit: Fixture: c*.sql: file does not exist")
	testkit.RequireRows(testkit.As(t, "acme"), t, db, []string{"a"}, "select body from notes.notes")
}

func TestTruncateLeavesTheMigrationsVersions(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Migrations("notes", notes))
	acme := testkit.As(t, "acme")
	testkit.Insert(acme, t, db, "notes.notes", testkit.Row{"body": "one"})
	testkit.Truncate(t, db)
	testkit.RequireCount(acme, t, db, 0, "notes.notes")
	var versions int
	require.NoError(t, testkit.OwnerPool(t, db).QueryRow(t.Context(), "select count(*) from onepool.notes_versions").Scan(&versions))
	require.Positive(t, versions)
	require.Contains(t, rehearse(t, func(t testing.TB) { testkit.Truncate(t, db, "notes.none") }), "testkit: Truncate:")
}

func TestRolledBackRefusesACommitAndAnEnd(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t, testkit.Migrations("notes", notes))
	acme := testkit.As(t, "acme")
	got := rehearse(t, func(t testing.TB) {
		tx := testkit.RolledBack(acme, t, db)
		_, err := tx.Exec(acme, "insert into notes.notes (body) values ('x')")
		require.NoError(t, err)
		_ = tx.Commit(acme)
	})
	require.Contains(t, got, "testkit: RolledBack: the test committed")
	testkit.RequireCount(acme, t, db, 0, "notes.notes")
	got = rehearse(t, func(t testing.TB) {
		require.NoError(t, testkit.RolledBack(acme, t, db).Rollback(acme))
	})
	require.Contains(t, got, "the transaction is over")
}

func TestWaitForSeesARowOfALaterCommit(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Migrations("notes", notes))
	acme := testkit.As(t, "acme")
	tx, err := db.Begin(acme)
	require.NoError(t, err)
	_, err = tx.Exec(acme, "insert into notes.notes (body) values ('x')")
	require.NoError(t, err)
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		testkit.WaitFor(acme, t, db, "select exists (select from notes.notes)")
	}()
	select {
	case <-seen:
		require.Fail(t, "the row is not committed")
	case <-time.After(50 * time.Millisecond):
	}
	require.NoError(t, tx.Commit(acme))
	<-seen
}

func TestWaitForEndsWithItsContextAndWithAnError(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t)
	for sql, want := range map[string]string{
		"select false":            "testkit: WaitFor: not true after",
		"select true where false": "testkit: WaitFor: not true after",
		"select 1/0 = 1":          "division by zero",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if strings.Contains(sql, "/") {
			ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		}
		got := rehearse(t, func(t testing.TB) { testkit.WaitFor(ctx, t, db, sql) })
		cancel()
		require.Contains(t, got, want, sql)
	}
}

func TestRequireRowsShowsTheDifference(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t)
	type row struct {
		Name string
		At   *time.Time
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("x", 3600))
	const sql = "select * from (values ('a', null), ('b', '2026-01-02 02:04:05+00'::timestamptz), ('d', null)) r (name, at)"
	testkit.RequireRows(t.Context(), t, db, []row{{"a", nil}, {"b", &at}, {"d", nil}}, sql)
	got := rehearse(t, func(t testing.TB) {
		testkit.RequireRows(context.Background(), t, db, []row{{"b", &at}, {"c", nil}, {"d", nil}}, sql)
	})
	require.Contains(t, got, `(-want +got):
+ {Name: "a", At: nil}
  {Name: "b", At: 2026-01-02T02:04:05Z}
- {Name: "c", At: nil}
  {Name: "d", At: nil}
`)
	for want, check := range map[string]func(testing.TB){
		"want 2":              func(t testing.TB) { testkit.RequireCount(context.Background(), t, db, 2, "pg_catalog.pg_am") },
		"division by zero":    func(t testing.TB) { testkit.RequireRows(context.Background(), t, db, []int{1}, "select 1/0") },
		"testkit: RequireRow": func(t testing.TB) { testkit.RequireRows(context.Background(), t, db, []row{}, "select 1 as other") },
	} {
		require.Contains(t, rehearse(t, check), want)
	}
	require.Contains(t, rehearse(t, func(t testing.TB) { testkit.RequireRows(context.Background(), t, db, []int(nil), "select 1") }), "+ 1")
	testkit.RequireRows(t.Context(), t, db, []time.Time{at}, "select '2026-01-02 02:04:05+00'::timestamptz")
	testkit.RequireRows(t.Context(), t, db, []string{}, "select 'x' where false")
}

func TestRandDiffersByTestAndBySeed(t *testing.T) {
	var other uint64
	t.Run("another", func(t *testing.T) { other = testkit.Rand(t).Uint64() })
	mine := testkit.Rand(t).Uint64()
	require.NotEqual(t, mine, other)
	t.Setenv("TEST_SEED", "7")
	require.NotEqual(t, mine, testkit.Rand(t).Uint64())
	require.Contains(t, rehearse(t, func(t testing.TB) { testkit.Rand(t); t.Error("failed") }), "TEST_SEED=7")
	t.Setenv("TEST_SEED", "x")
	require.Contains(t, rehearse(t, func(t testing.TB) { testkit.Rand(t) }), "TEST_SEED must be a whole number")
}

func TestTheServersClockGoesWhereTheTestSetsIt(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Migrations("notes", notes))
	acme := testkit.As(t, "acme")
	var before time.Time
	require.NoError(t, db.QueryRow(acme, "select now()").Scan(&before)) // a connection from before, too
	clock := testkit.ServerClock(t, db)
	read := func(sql string) (at time.Time) {
		t.Helper()
		require.NoError(t, db.QueryRow(acme, "select "+sql).Scan(&at))
		return at
	}
	require.WithinDuration(t, before, read("now()"), time.Hour, "until the test moves the clock")
	clock.Advance(100 * 24 * time.Hour)
	for _, sql := range []string{"now()", "transaction_timestamp()", "statement_timestamp()", "clock_timestamp()"} {
		require.WithinDuration(t, before.Add(100*24*time.Hour), read(sql), time.Hour, sql)
	}
	for _, sql := range []string{"current_timestamp", "pg_catalog.now()"} {
		require.WithinDuration(t, before, read(sql), time.Hour, "the documented limit: %s", sql)
	}
	clock.Advance(-200 * 24 * time.Hour)
	require.WithinDuration(t, before.Add(-100*24*time.Hour), clock.Now(), time.Hour)
	then := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	clock.Set(then)
	require.WithinDuration(t, then, read("now()"), time.Hour)
	testkit.Insert(acme, t, db, "notes.notes", testkit.Row{"body": "the tenant's statements still work"})
	testkit.RequireCount(acme, t, db, 1, "notes.notes")
	require.NoError(t, db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
		var first, second time.Time
		require.NoError(t, tx.QueryRow(acme, "select now()").Scan(&first))
		require.NoError(t, tx.QueryRow(acme, "select now()").Scan(&second))
		require.Equal(t, first, second, "now() is of the transaction")
		return nil
	}))
}
