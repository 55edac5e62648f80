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
	"github.com/agentagency/onepool/testkit"
)

func TestATransactionCopiesUnderItsTenantsPolicies(t *testing.T) {
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	acme := as(t, "acme")
	count := func(tx pgx.Tx) (n int) {
		require.NoError(t, tx.QueryRow(t.Context(), "select count(*) from notes.notes").Scan(&n))
		return n
	}
	errSource := errors.New("the source ended")
	require.NoError(t, db.InTx(acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
		sp, err := tx.Begin(t.Context())
		require.NoError(t, err)
		for i, tx := range []pgx.Tx{sp, tx} {
			n, err := tx.CopyFrom(t.Context(), pgx.Identifier{"notes", "notes"}, []string{"body"},
				pgx.CopyFromSlice(25_000, func(int) ([]any, error) { return []any{"row"}, nil }))
			require.NoError(t, err)
			require.EqualValues(t, 25_000, n)
			require.Equal(t, 25_000*(i+1), count(tx))
			if i == 0 {
				require.NoError(t, sp.Commit(t.Context()))
			}
		}
		n, err := tx.CopyFrom(t.Context(), pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromSlice(25_000, func(i int) ([]any, error) {
			if i == 24_000 {
				return nil, errSource
			}
			return []any{"row"}, nil
		}))
		require.ErrorIs(t, err, errSource)
		require.Zero(t, n)
		require.Equal(t, 50_000, count(tx), "a part of a copy that failed was kept")
		_, err = tx.CopyFrom(t.Context(), pgx.Identifier{"notes", "notes"}, []string{"tenant_id", "body"}, pgx.CopyFromRows([][]any{{"globex", "x"}}))
		require.Equal(t, "42501", codeOf(err), "a policy let another tenant's row in")
		return nil
	}))
	requireClean(t, db)
}

func TestCopyFromTakesEveryType(t *testing.T) {
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	_, err := testkit.Owner(t, db).Exec(t.Context(), `create type notes.mood as enum ('good', 'bad'); create domain notes.short as text check (length(value) < 9);
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
		_, err = testkit.Owner(t, db).Exec(t.Context(), "delete from notes.types")
		require.NoError(t, err)
	}
	_, err = db.CopyFrom(acme, table, []string{"id", "short"}, pgx.CopyFromRows([][]any{{1, "too long for it"}}))
	require.Equal(t, "23514", codeOf(err))
	n, err := db.CopyFrom(acme, table, []string{"id", "at"}, pgx.CopyFromRows([][]any{{1, at}, {2, "2026-01-02"}, {3, at}}))
	require.NoError(t, err, "one value had to go as text")
	require.EqualValues(t, 3, n)
	requireClean(t, db)
}

func TestATenantsCopyTakesAFlightPerChunk(t *testing.T) {
	t.Parallel()
	w := newWire(t, 0)
	db := w.open(t)
	copyRows := func() error {
		_, err := db.CopyFrom(as(t, "acme"), pgx.Identifier{"notes", "notes"}, []string{"body"},
			pgx.CopyFromSlice(100, func(int) ([]any, error) { return []any{"row"}, nil }))
		return err
	}
	require.NoError(t, copyRows())
	require.EqualValues(t, 3, w.during(t, copyRows), "begin, insert, commit")
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
			_, err := testkit.Owner(b, w.db).Exec(b.Context(), "create table notes.open (tenant_id text, id bigint generated always as identity, body text, primary key (tenant_id, id)); grant insert on notes.open to public")
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
