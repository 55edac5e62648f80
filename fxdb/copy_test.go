package fxdb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestATransactionCopiesUnderItsTenantsPolicies(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	acme := as(t, "acme")
	count := func(tx pgx.Tx) (n int) {
		require.NoError(t, tx.QueryRow(t.Context(), "select count(*) from notes.notes").Scan(&n))
		return n
	}
	errSource := errors.New("the source ended")
	many := size.Of(10_500, 12_000, 25_000) // more than one statement takes
	require.NoError(t, db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
		sp, err := tx.Begin(t.Context())
		require.NoError(t, err)
		for i, tx := range []pgx.Tx{sp, tx} {
			n, err := tx.CopyFrom(t.Context(), pgx.Identifier{"notes", "notes"}, []string{"body"},
				pgx.CopyFromSlice(many, func(int) ([]any, error) { return []any{"row"}, nil }))
			require.NoError(t, err)
			require.EqualValues(t, many, n)
			require.Equal(t, many*(i+1), count(tx))
			if i == 0 {
				require.NoError(t, sp.Commit(t.Context()))
			}
		}
		n, err := tx.CopyFrom(t.Context(), pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromSlice(many, func(i int) ([]any, error) {
			if i == many-100 {
				return nil, errSource
			}
			return []any{"row"}, nil
		}))
		require.ErrorIs(t, err, errSource)
		require.Zero(t, n)
		require.Equal(t, 2*many, count(tx), "a part of a copy that failed was kept")
		_, err = tx.CopyFrom(t.Context(), pgx.Identifier{"notes", "notes"}, []string{"tenant_id", "body"}, pgx.CopyFromRows([][]any{{"globex", "x"}}))
		require.Equal(t, "42501", codeOf(err), "a policy let another tenant's row in")
		return nil
	}))
	requireClean(t, db)
}

func TestCopyFromTakesEveryType(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), `create type notes.mood as enum ('good', 'bad'); create domain notes.short as text check (length(value) < 9);
		create table notes.types (id int primary key, n numeric(9,2), at timestamptz, doc jsonb, raw bytea, who uuid, short notes.short, tags text[], mood notes.mood);
		grant insert, select on notes.types to public; grant usage on schema notes to public`)
	require.NoError(t, err)
	acme, table := as(t, "acme"), pgx.Identifier{"notes", "types"}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	body := "short"
	for name, c := range map[string]struct {
		columns []string
		row     []any
		as      string
	}{
		"in arrays": {[]string{"n", "at", "doc", "raw", "who", "short"},
			[]any{"12.50", at, map[string]any{"a": 1}, []byte{0, 1}, "00000000-0000-0000-0000-000000000001", &body},
			`12.50|2026-01-02 03:04:05+00|{"a": 1}|\x0001|00000000-0000-0000-0000-000000000001|short||`},
		"nothing":         {[]string{"n", "at", "short"}, []any{nil, (*time.Time)(nil), nil}, "|||||||"},
		"an array":        {[]string{"tags"}, []any{[]string{"a", "b"}}, "||||||{a,b}|"},
		"an enumeration":  {[]string{"mood"}, []any{"bad"}, "|||||||bad"},
		"text of another": {[]string{"at"}, []any{"2026-01-02 03:04:05+00"}, "|2026-01-02 03:04:05+00||||||"},
	} {
		reused := make([]any, len(c.row)+1) // as a source may
		n, err := db.CopyFrom(acme, table, append([]string{"id"}, c.columns...), pgx.CopyFromSlice(3, func(i int) ([]any, error) {
			reused[0] = i
			copy(reused[1:], c.row)
			return reused, nil
		}))
		require.NoError(t, err, name)
		require.EqualValues(t, 3, n, name)
		rows, err := db.Query(acme, `select concat_ws('|', coalesce(n::text, ''), coalesce((at at time zone 'utc')::text || '+00', ''), coalesce(doc::text, ''), coalesce(raw::text, ''),
			coalesce(who::text, ''), coalesce(short::text, ''), coalesce(tags::text, ''), coalesce(mood::text, '')) from notes.types order by id`)
		require.NoError(t, err)
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		require.Equal(t, []string{c.as, c.as, c.as}, got, name)
		_, err = testkit.OwnerPool(t, db).Exec(t.Context(), "delete from notes.types")
		require.NoError(t, err)
	}
	_, err = db.CopyFrom(acme, table, []string{"id", "short"}, pgx.CopyFromRows([][]any{{1, "too long for it"}}))
	require.Equal(t, "23514", codeOf(err))
	n, err := db.CopyFrom(acme, table, []string{"id", "at"}, pgx.CopyFromRows([][]any{{1, at}, {2, "2026-01-02"}, {3, at}}))
	require.NoError(t, err, "one value had to go as text")
	require.EqualValues(t, 3, n)
	requireClean(t, db)
}

func TestATenantsShortCopyTakesOneFlight(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	w := newWire(t, 0)
	for name, c := range map[string]struct {
		rows  int
		value func(row int) any
		first int64 // flights of the first use, which asks for types
		then  int64
	}{
		"short":     {100, func(int) any { return "row" }, 2, 1},
		"empty":     {0, nil, 1, 0},
		"a chunk":   {10_000, func(int) any { return "row" }, 2, 1},
		"two":       {10_001, func(int) any { return "row" }, 6, 4},
		"by insert": {100, func(int) any { return []byte("row") }, 3, 1},
	} {
		t.Run(name, func(t *testing.T) {
			db, acme := w.open(t), as(t, "acme")
			for use, flights := range []int64{c.first, c.then, c.then} {
				require.LessOrEqual(t, w.during(t, func() error {
					n, err := db.CopyFrom(acme, pgx.Identifier{"notes", "notes"}, []string{"body"},
						pgx.CopyFromSlice(c.rows, func(row int) ([]any, error) { return []any{c.value(row)}, nil }))
					require.EqualValues(t, c.rows, n)
					return err
				}), flights, "use %d", use+1)
				var n int
				require.NoError(t, db.QueryRow(acme, "select count(*) from notes.notes").Scan(&n))
				require.Equal(t, (use+1)*c.rows, n)
			}
			requireClean(t, db)
			_, err := w.db.Exec(acme, "delete from notes.notes")
			require.NoError(t, err)
		})
	}
}

func TestATransactionsShortCopyTakesOneFlight(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	w := newWire(t, 0)
	db, acme := w.open(t), as(t, "acme")
	errSource := errors.New("the source ended")
	copyOf := func(tx pgx.Tx, owner string, failure error) error {
		n, err := tx.CopyFrom(acme, pgx.Identifier{"notes", "notes"}, []string{"tenant_id", "body"},
			pgx.CopyFromSlice(100, func(int) ([]any, error) { return []any{owner, "row"}, failure }))
		if err == nil {
			require.EqualValues(t, 100, n)
		} else {
			require.Zero(t, n)
		}
		return err
	}
	for _, flights := range [][2]int64{{4, 1}, {1, 1}} { // what a copy takes: it asks for types once, in a savepoint
		require.NoError(t, db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
			sp, err := tx.Begin(acme)
			require.NoError(t, err)
			for i, tx := range []pgx.Tx{sp, tx} {
				require.Equal(t, flights[i], w.during(t, func() error { return copyOf(tx, "acme", nil) }))
				require.EqualValues(t, 2, w.during(t, func() error {
					require.NoError(t, isCode(copyOf(tx, "globex", nil), "42501"))
					return nil
				}), "it and its undoing")
				require.Zero(t, w.during(t, func() error {
					require.ErrorIs(t, copyOf(tx, "acme", errSource), errSource)
					return nil
				}))
				var n int
				require.NoError(t, tx.QueryRow(acme, "select count(*) from notes.notes").Scan(&n))
				require.Equal(t, 100*(i+1), n)
				if i == 0 {
					require.NoError(t, sp.Commit(acme))
				}
			}
			_, err = tx.Exec(acme, "delete from notes.notes")
			return err
		}))
	}
	require.ErrorIs(t, db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(acme, "select 1/0")
		require.Error(t, err)
		require.NoError(t, isCode(copyOf(tx, "acme", nil), "25P02"), "an aborted transaction")
		return errSource
	}), errSource)
	requireClean(t, db)
}

func TestACopyThatFailsWritesNothing(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	w := newWire(t, 0)
	db, acme := w.open(t), as(t, "acme")
	errSource := errors.New("the source ended")
	copyOf := func(column string, rows, bad int, value any, failure error) error {
		n, err := db.CopyFrom(acme, pgx.Identifier{"notes", "notes"}, []string{column, "body"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) {
			if i == bad {
				return []any{value, "row"}, failure
			}
			return []any{"acme", "row"}, nil
		}))
		require.Zero(t, n)
		return err
	}
	for _, rows := range []int{10, 10_500} { // in one flight, and in a transaction
		require.ErrorIs(t, copyOf("tenant_id", rows, rows-1, nil, errSource), errSource)
		require.NoError(t, isCode(copyOf("tenant_id", rows, rows-1, "globex", nil), "42501"), "a policy let another tenant's row in")
		require.Error(t, copyOf("tenant_id", rows, rows-1, struct{}{}, nil))
		require.NoError(t, isCode(copyOf("missing", rows, -1, nil, nil), "42703"))
		func() {
			defer func() { require.Equal(t, "the source's", recover()) }()
			_, _ = db.CopyFrom(acme, pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) {
				if i == rows-1 {
					panic("the source's")
				}
				return []any{"row"}, nil
			}))
		}()
		// deferred: the commit fails
		_, err := db.CopyFrom(acme, pgx.Identifier{"notes", "plain"}, []string{"id", "body"}, pgx.CopyFromSlice(rows, func(i int) ([]any, error) { return []any{i, "the same"}, nil }))
		require.NoError(t, isCode(err, "23505"))
	}
	var n int
	require.NoError(t, db.QueryRow(acme, "select (select count(*) from notes.notes) + (select count(*) from notes.plain)").Scan(&n))
	require.Zero(t, n)
	requireClean(t, db)
}

func TestACopyIsOnlySentOnce(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	w := newWire(t, 0)
	db, acme := w.open(t), fxdb.Idempotent(as(t, "acme"))
	copyOf := func(body string) error {
		_, err := db.CopyFrom(acme, pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows([][]any{{body}}))
		return err
	}
	require.NoError(t, copyOf("known"))
	for body, delivered := range map[string]bool{"lost on the way": false, "its answer was lost": true} {
		w.cutAt(body, delivered)
		require.Error(t, copyOf(body))
		require.NoError(t, copyOf("again")) // on another connection, whose types it asks for
	}
	w.cutNow()
	require.Eventually(t, func() bool {
		return db.QueryRow(acme, "select").Scan() == nil
	}, patience, time.Millisecond)
	rows, err := db.Query(acme, "select body from notes.notes order by body")
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{"again", "again", "its answer was lost", "known"}, got)
}

func TestACopyThatMustAskForTypesFirstSurvivesALostConnection(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	w := newWire(t, 0)
	db := w.open(t)
	w.cutAt("notes", false)
	n, err := db.CopyFrom(as(t, "acme"), pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows([][]any{{"row"}}))
	require.NoError(t, err, "nothing had been sent but a question")
	require.EqualValues(t, 1, n)
}

func TestACopyOutlivesAChangeOfTheSchema(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	acme, owner := as(t, "acme"), testkit.OwnerPool(t, db)
	copyOf := func(id any) error {
		_, err := db.CopyFrom(acme, pgx.Identifier{"notes", "plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{id}}))
		return err
	}
	require.NoError(t, copyOf(1))
	_, err := owner.Exec(t.Context(), "alter table notes.plain alter column id type bigint")
	require.NoError(t, err)
	require.NoError(t, copyOf(int64(1)<<40), "a value that the old type has no room for")
	_, err = owner.Exec(t.Context(), "alter table notes.plain alter column id type uuid using ('00000000-0000-0000-0000-' || lpad(id::text, 12, '0'))::uuid")
	require.NoError(t, err)
	const id = "10000000-0000-0000-0000-000000000000"
	if err := copyOf(id); err != nil {
		require.NoError(t, isCode(err, "42804", "22P02"), "the server refuses the old type, once")
		require.NoError(t, copyOf(id))
	}
	_, err = owner.Exec(t.Context(), "drop table notes.plain; create table notes.plain (id text, more int); grant select, insert on notes.plain to public")
	require.NoError(t, err)
	if err := copyOf("text"); err != nil {
		require.NoError(t, isCode(err, "42804", "22P02"))
		require.NoError(t, copyOf("text"))
	}
	var got string
	require.NoError(t, db.QueryRow(acme, "select string_agg(id, ' ') from notes.plain").Scan(&got))
	require.Equal(t, "text", got)
	requireClean(t, db)
}

func TestACopyGivesIdentityColumnsAsCopyDoes(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	acme, table := as(t, "acme"), pgx.Identifier{"notes", "notes"}
	for name, body := range map[string]any{"in arrays": "row", "by insert": []byte("row")} {
		_, err := db.CopyFrom(acme, table, []string{"id", "body"}, pgx.CopyFromRows([][]any{{700, body}, {701, body}}))
		require.NoError(t, err, name)
		var ids []int64
		require.NoError(t, db.QueryRow(acme, "select array_agg(id order by id) from notes.notes").Scan(&ids))
		require.Equal(t, []int64{700, 701}, ids, name)
		_, err = db.Exec(acme, "delete from notes.notes")
		require.NoError(t, err)
	}
}

// BenchmarkCopyFrom writes rows under a tenant's policies, and by COPY where there
// are none.
func BenchmarkCopyFrom(b *testing.B) {
	for _, c := range []struct {
		name      string
		delay     time.Duration
		rows, run int
	}{{"10000 rows", 0, 10_000, 1}, {"100 rows", 0, 100, 5}, {"100 rows over 1ms", time.Millisecond, 100, 5}} {
		b.Run(c.name, func(b *testing.B) {
			w := newWire(b, c.delay)
			_, err := testkit.OwnerPool(b, w.db).Exec(b.Context(), "create table notes.open (tenant_id text, id bigint generated always as identity, body text, primary key (tenant_id, id)); grant insert on notes.open to public")
			require.NoError(b, err)
			cfg, err := pgxpool.ParseConfig(w.URL)
			require.NoError(b, err)
			cfg.ConnConfig.RuntimeParams = fxdb.ConnConfig(b, fxdb.Config{URL: w.URL}).ConnConfig.RuntimeParams
			bare, err := pgxpool.NewWithConfig(b.Context(), cfg)
			require.NoError(b, err)
			b.Cleanup(bare.Close)
			db, acme := w.open(b), as(b, "acme")
			source := func() pgx.CopyFromSource {
				return pgx.CopyFromSlice(c.rows, func(int) ([]any, error) { return []any{"acme", "the body of a note"}, nil })
			}
			columns := []string{"tenant_id", "body"}
			ways := []way{
				{"copy", func() error {
					_, err := bare.CopyFrom(context.Background(), pgx.Identifier{"notes", "open"}, columns, source())
					return err
				}},
				{"tenant", func() error {
					_, err := db.CopyFrom(acme, pgx.Identifier{"notes", "notes"}, columns, source())
					return err
				}},
			}
			for _, way := range ways {
				require.NoError(b, way.do())
				b.Logf("%s: %d flights", way.name, w.during(b, way.do))
			}
			compareTimes(b, 1, c.run, ways...)
		})
	}
}
