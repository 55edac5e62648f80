package keyset_test

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/store"
	"github.com/agentagency/onepool/testkit"
)

type note struct {
	At    time.Time
	Score float64
	ID    string
}

func newDB(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.New("test", testkit.DB(t), "acme", 0)
	require.NoError(t, err)
	return db
}

var errNoShelf = errors.New("no shelf")

// notes is a list by time, score and id, on the shelf @shelf.
func notes(descending bool) keyset.List[note, string] {
	return keyset.List[note, string]{
		Select: `select n.at, n.score, n.id from (
			select '2026-01-01'::timestamptz + (g / 6) * interval '1 us' as at, (g / 2) % 3 / 10.0::float8 as score, 'n' || lpad(g::text, 2, '0') as id
			from generate_series(0, @last::int) g) n where true`,
		Key:        []keyset.Column{{SQL: "n.at", Type: keyset.Time}, {SQL: "n.score", Type: keyset.Number}, {SQL: "n.id", Type: keyset.Text}},
		Descending: descending,
		KeyOf:      func(n note) []any { return []any{n.At, n.Score, n.ID} },
		Convert:    func(n note) (string, error) { return n.ID, nil },
		Parent:     "select @shelf::text = 'a'",
		Unknown:    errNoShelf,
	}
}

func TestAKeysetGoesThroughAllRowsOnceInEitherDirection(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	for _, descending := range []bool{false, true} {
		var got []string
		pages := 0
		for after := ""; ; pages++ {
			p, err := notes(descending).Page(t.Context(), db, 7, after, pgx.NamedArgs{"last": 20, "shelf": "a"})
			require.NoError(t, err)
			got = append(got, p.Items...)
			if after = p.Next; after == "" {
				break
			}
			require.Len(t, p.Items, 7)
			require.Less(t, pages, 3, "the list has no end")
		}
		require.Equal(t, 2, pages, "a page that is just full is the last")
		require.Len(t, got, 21)
		for i, id := range got {
			if descending {
				i = 20 - i
			}
			require.Equal(t, i, number(t, id))
		}
	}
}

func number(t *testing.T, id string) int {
	t.Helper()
	n, err := strconv.Atoi(id[1:])
	require.NoError(t, err)
	return n
}

func TestAKeysetHasADefaultAndAMost(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	args := pgx.NamedArgs{"last": 1500, "shelf": "a"}
	for limit, want := range map[int]int{0: modules.DefaultPage, 1: 1, modules.MaxPage: modules.MaxPage} {
		p, err := notes(false).Page(t.Context(), db, limit, "", args)
		require.NoError(t, err)
		require.Equal(t, want, len(p.Items)) //nolint:testifylint // Len would print them all
	}
	for _, limit := range []int{-1, modules.MaxPage + 1} {
		_, err := notes(false).Page(t.Context(), db, limit, "", args)
		require.EqualError(t, err, "invalid: limit must be from 1 to 1000, and 0 for 100")
	}
}

func TestAnEmptyPageAsksForTheParent(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	p, err := notes(false).Page(t.Context(), db, 0, "", pgx.NamedArgs{"last": -1, "shelf": "a"})
	require.NoError(t, err)
	require.Equal(t, []string{}, p.Items)
	_, err = notes(false).Page(t.Context(), db, 0, "", pgx.NamedArgs{"last": -1, "shelf": "b"})
	require.ErrorIs(t, err, errNoShelf)
}

// notesByID is notes with the id of the last note as the cursor.
func notesByID(descending bool) keyset.List[note, string] {
	list := notes(descending)
	_, rows, _ := strings.Cut(list.Select, "from ")
	list.KeyOf, list.Parent = nil, ""
	list.ID = func(n note) string { return n.ID }
	list.Row = strings.TrimSuffix(rows, " where true") + " where n.id = @after::text"
	return list
}

func TestAnIDIsTheCursorOfAListWithIDs(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	args := pgx.NamedArgs{"last": 20, "shelf": "a"}
	for descending, want := range map[bool][]string{false: {"n07", "n08", "n09"}, true: {"n05", "n04", "n03"}} {
		p, err := notesByID(descending).Page(t.Context(), db, 3, "n06", args)
		require.NoError(t, err)
		require.Equal(t, modules.Page[string]{Items: want, Next: want[2]}, p)
	}
	last, err := notesByID(false).Page(t.Context(), db, 3, "n17", args)
	require.NoError(t, err)
	require.Equal(t, modules.Page[string]{Items: []string{"n18", "n19", "n20"}}, last, "a page that is just full is the last")
	behind, err := notesByID(false).Page(t.Context(), db, 3, "n20", args)
	require.NoError(t, err)
	require.Equal(t, modules.Page[string]{Items: []string{}}, behind, "the last note is a note")
	_, err = notesByID(false).Page(t.Context(), db, 3, "n21", args)
	require.ErrorIs(t, err, errNoShelf)
	empty, err := notesByID(false).Page(t.Context(), db, 3, "", pgx.NamedArgs{"last": -1, "shelf": "a"})
	require.NoError(t, err, "a first page begins behind no note")
	require.Empty(t, empty.Items)
	_, err = notesByID(false).Page(t.Context(), db, 3, "n\x00", args)
	require.ErrorIs(t, err, modules.ErrInvalid)

	byKey := notesByID(false) // an id that is the whole key needs no row
	byKey.Key, byKey.Row = []keyset.Column{{SQL: "n.id", Type: keyset.Text}}, ""
	p, err := byKey.Page(t.Context(), db, 2, "n06x", args)
	require.NoError(t, err)
	require.Equal(t, modules.Page[string]{Items: []string{"n07", "n08"}, Next: "n08"}, p)
	p, err = byKey.Page(t.Context(), db, 2, "n99", args)
	require.NoError(t, err)
	require.Empty(t, p.Items)
}

// A cursor comes from a caller: the server never sees a value of a wrong type.
func TestACursorOfForeignOriginIsInvalid(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	cursor := func(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }
	for _, after := range []string{
		"%", "n01", cursor("x"), cursor(`{}`), cursor(`[]`), cursor(`["2026-01-01T00:00:00Z", 1]`), cursor(`["2026-01-01T00:00:00Z", 1, "n", "m"]`),
		cursor(`["soon", 1, "n"]`), cursor(`["2026-01-01T00:00:00Z", "1", "n"]`), cursor(`["2026-01-01T00:00:00Z", 1e400, "n"]`),
		cursor(`["2026-01-01T00:00:00Z", 1, 2]`), cursor(`["2026-01-01T00:00:00Z", 1, "\u0000"]`), cursor(`["0000-01-01T00:00:00Z", 1, "n"]`),
	} {
		_, err := notes(false).Page(t.Context(), db, 0, after, pgx.NamedArgs{"last": 20, "shelf": "a"})
		require.EqualError(t, err, "invalid: after must be the next of an earlier page", after)
	}
	byUUID := notes(false)
	byUUID.Key = []keyset.Column{{SQL: "gen_random_uuid()", Type: keyset.UUID}}
	_, err := byUUID.Page(t.Context(), db, 0, cursor(`["n01"]`), pgx.NamedArgs{"last": 20, "shelf": "a"})
	require.EqualError(t, err, "invalid: after must be the next of an earlier page")
	byRank := notes(false)
	byRank.Key = []keyset.Column{{SQL: "1", Type: keyset.Integer}}
	_, err = byRank.Page(t.Context(), db, 0, cursor(`[1.5]`), pgx.NamedArgs{"last": 20, "shelf": "a"})
	require.EqualError(t, err, "invalid: after must be the next of an earlier page")
}

// For a limit that is a parameter, the planner of a generic plan expects a tenth of all rows.
func TestTheServerKeepsThePlanOfAPage(t *testing.T) {
	t.Parallel()
	pool := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.NestedAcquire = 1, 1, "off" }))
	_, err := testkit.OwnerPool(t, pool).Exec(t.Context(), `create table numbers as select lpad(g::text, 6, '0') as id from generate_series(1, 20000) g;
		create unique index on numbers (id); analyze numbers; grant select on numbers to public`)
	require.NoError(t, err)
	db, err := store.New("test", pool, "acme", 0)
	require.NoError(t, err)
	list := keyset.List[struct{ ID string }, string]{
		Select: "select n.id from numbers n where true", Key: []keyset.Column{{SQL: "n.id", Type: keyset.Text}},
		ID: func(r struct{ ID string }) string { return r.ID }, Convert: func(r struct{ ID string }) (string, error) { return r.ID, nil },
	}
	for i := range 12 {
		_, err := list.Page(t.Context(), db, 4+i%4, "", nil) // the limits share the bound of 8
		require.NoError(t, err)
	}
	var generic int
	require.NoError(t, pool.QueryRow(t.Context(), "select generic_plans from pg_prepared_statements where statement ~ 'numbers n' and statement !~ 'generic_plans'").Scan(&generic))
	require.Greater(t, generic, 3, "the first calls are planned anew, and the sixth compares")
}
