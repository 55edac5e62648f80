package knowledge_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/testkit"
)

// counted is what EntryStats must be, by the entries themselves.
func counted(t testing.TB, ctx context.Context, db *fxdb.DB, condition string) (s knowledge.EntryStats) {
	t.Helper()
	scan(t, ctx, db, `select count(*) filter (where status = 'active'), count(*) filter (where status = 'replaced'),
		count(*) filter (where status = 'archived'), count(*) filter (where status = 'active' and needs_review),
		coalesce(avg(confidence) filter (where status = 'active'), 0) from knowledge.entries where `+condition,
		&s.Active, &s.Replaced, &s.Archived, &s.NeedsReview, &s.MeanConfidence)
	return s
}

func TestEntryStatsStayExactUnderConcurrentWrites(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	together(t, 16, func(i int) error {
		for k := range 12 {
			id, err := c.PutEntry(ctx, knowledge.Entry{
				Source: fmt.Sprint("s", i%3), EntityID: fmt.Sprint("e", k%4, " of ", i%5), Kind: fmt.Sprint("k", i%2), Body: fmt.Sprint(i, " ", k), Confidence: 0.45,
			})
			if err == nil && k%3 == 0 {
				_, err = c.ReinforceEntry(ctx, id, false, nil)
			}
			if err == nil && k%5 == 0 {
				_, err = c.DeleteEntries(ctx, fmt.Sprint("s", i%3))
			}
			if err != nil && !isGone(err) {
				return err
			}
		}
		return nil
	})
	exec(t, ctx, db, "update knowledge.entries set status = 'archived' where status = 'replaced' and confidence < 0.4")
	for _, of := range []struct{ source, kind, condition string }{
		{"", "", "true"}, {"s1", "", "source = 's1'"}, {"", "k1", "kind = 'k1'"}, {"s2", "k0", "source = 's2' and kind = 'k0'"},
	} {
		got, err := c.EntryStats(ctx, of.source, of.kind)
		require.NoError(t, err)
		want := counted(t, ctx, db, of.condition)
		require.InDelta(t, want.MeanConfidence, got.MeanConfidence, 1e-9)
		want.MeanConfidence, want.UpdatedAt, got.MeanConfidence = 0, got.UpdatedAt, 0
		require.Equal(t, want, got, of.condition)
	}
}

// isGone reports whether a concurrent DeleteEntries took the entry away.
func isGone(err error) bool { return errors.Is(err, knowledge.ErrEntryNotFound) }

func TestAnOpenTransactionStopsNoOtherWriterOfTheTenant(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx, cancel := context.WithTimeout(as(t, "acme"), time.Minute)
	defer cancel()
	require.NoError(t, c.CachePut(ctx, "k", []byte("1"), time.Hour, ""))
	for _, level := range []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.RepeatableRead} {
		require.NoError(t, db.InTx(ctx, pgx.TxOptions{IsoLevel: level}, func(tx pgx.Tx) error {
			inside := modules.Join(ctx, tx)
			_, err := c.PutEntry(inside, entry("held"))
			require.NoError(t, err)
			_, _, err = c.CacheGet(inside, "missing")
			require.NoError(t, err)
			_, err = c.PutEntry(ctx, entry("free"))
			require.NoError(t, err, "a writer waits for the counts of an open transaction")
			_, found, err := c.CacheGet(ctx, "k")
			require.NoError(t, err, "a reader waits for the counters of an open transaction")
			require.True(t, found)
			return nil
		}))
	}
	s, err := c.EntryStats(ctx, "wiki", "concept")
	require.NoError(t, err)
	require.EqualValues(t, 2, s.Active)
	cached, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.Equal(t, knowledge.CacheStats{Entries: 1, SizeBytes: 1, Hits: 2, Misses: 2, HitRate: 0.5}, cached)
}

// The differences don't pile up: a share of the statements folds the rows.
func TestCountsAreFolded(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	rows, folded := 0, false
	for i := 0; i < 5000 && !folded; i++ { // 1 in 10^40 tests never folds
		_, _, err := c.CacheGet(ctx, "missing")
		require.NoError(t, err)
		before := rows
		scan(t, ctx, db, "select count(*) from knowledge.cache_counters", &rows)
		folded = rows < before
	}
	require.True(t, folded, "%d rows", rows)
	s, err := c.CacheStats(ctx)
	require.NoError(t, err)
	var misses int64
	scan(t, ctx, db, "select sum(misses) from knowledge.cache_counters", &misses)
	require.Equal(t, misses, s.Misses)
	require.Zero(t, s.Hits)
}

func TestRecountCountsWhatCameWithoutTriggers(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.CachePut(ctx, "k", []byte("1"), time.Hour, ""))
	_, _, err := c.CacheGet(ctx, "k")
	require.NoError(t, err)
	_, err = c.PutEntry(ctx, entry("e"))
	require.NoError(t, err)
	exec(t, ctx, db, "delete from knowledge.entry_counts")
	exec(t, ctx, db, "update knowledge.cache_counters set entries = 7")
	clienttest.Recount(t, db, "knowledge", "acme")
	s, err := c.EntryStats(ctx, "wiki", "")
	require.NoError(t, err)
	require.EqualValues(t, 1, s.Active)
	cached, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.Equal(t, knowledge.CacheStats{Entries: 1, SizeBytes: 1, Hits: 1, HitRate: 1}, cached)
}

const many = 11_000 // more than two batches

func putMany(t testing.TB, ctx context.Context, db *fxdb.DB, columns, values string) {
	t.Helper()
	exec(t, ctx, db, fmt.Sprintf(`insert into knowledge.entries (source, entity_id, kind, name, body, content_hash%s)
		select 'many', g::text, 'many', '', '', repeat('0', 64)%s from generate_series(1, %d) g`, columns, values, many))
}

func TestDecayTouchesEachEntryOnceAnHour(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	putMany(t, ctx, db, ", status, replaced_at", ", 'replaced', now() - interval '1 day'")
	// An entry under a concurrent write waits for the next run, and the run does not wait for
	// the write.
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "select from knowledge.entries where entity_id = '7' for update")
		require.NoError(t, err)
		n, err := c.DecayEntries(ctx)
		require.NoError(t, err)
		require.EqualValues(t, many-1, n)
		return nil
	}))
	for _, want := range []int64{1, 0} {
		n, err := c.DecayEntries(ctx)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	var least, most float64
	scan(t, ctx, db, "select min(confidence), max(confidence) from knowledge.entries", &least, &most)
	require.InDelta(t, 0.95, least, 1e-4)
	require.InDelta(t, 0.95, most, 1e-4)
}

// What was done before an error stays done, and the next run goes on.
func TestDecayGoesOnAfterAnError(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	putMany(t, ctx, db, ", status, replaced_at", ", 'replaced', now() - interval '1 day' - (10000 - g) * interval '1 second'")
	owner := testkit.OwnerPool(t, db)
	_, err := owner.Exec(t.Context(), `alter table knowledge.entries add constraint stop check (entity_id <> '6000' or decayed_at is null)`)
	require.NoError(t, err)
	n, err := c.DecayEntries(ctx)
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.EqualValues(t, 5000, n)
	_, err = owner.Exec(t.Context(), "alter table knowledge.entries drop constraint stop")
	require.NoError(t, err)
	n, err = c.DecayEntries(ctx)
	require.NoError(t, err)
	require.EqualValues(t, many-5000, n)
}

func TestDeletesAndPurgesGoThroughAllBatches(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	putMany(t, ctx, db, "", "")
	_, err := c.PutEntry(ctx, entry("other"))
	require.NoError(t, err)
	n, err := c.DeleteEntries(ctx, "many")
	require.NoError(t, err)
	require.EqualValues(t, many, n)
	s, err := c.EntryStats(ctx, "", "")
	require.NoError(t, err)
	require.EqualValues(t, 1, s.Active)

	// All entries expire at the same moment: only the key separates the batches.
	exec(t, ctx, db, fmt.Sprintf(`insert into knowledge.cache (cache_key, content, expires_at, size_bytes)
		select g::text, '1', now(), 1 from generate_series(1, %d) g`, many))
	n, err = c.CachePurge(ctx)
	require.NoError(t, err)
	require.EqualValues(t, many, n)
	cached, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.Equal(t, knowledge.CacheStats{}, cached)
}

func TestSearchTextAsksTheIndexOnWords(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx, globex := as(t, "acme"), as(t, "globex")
	for _, tenant := range []context.Context{ctx, globex} {
		exec(t, tenant, db, `insert into knowledge.entries (source, entity_id, kind, name, body, content_hash)
			select 's' || g % 3, g::text, 'k', 'entry', 'text w' || g, repeat('0', 64) from generate_series(1, 5000) g`)
	}
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "analyze knowledge.entries")
	require.NoError(t, err)
	clienttest.UsesIndexes(t, ctx, db, map[string]string{
		"select id from knowledge.entry_search where status = 'active' limit 10000":                      "entries_words_idx",
		"select id from knowledge.entry_search where status = 'active' and source = any('{s1}') limit 9": "entries_words_idx",
	})
	for _, search := range []struct {
		text string
		opts knowledge.SearchOptions
		want []string
	}{
		{"w77", knowledge.SearchOptions{}, []string{"77"}},
		{"w77 or w78", knowledge.SearchOptions{Sources: []string{"s0", "unknown's"}}, []string{"78"}},
		{"w77", knowledge.SearchOptions{Kinds: []string{"other"}}, []string{}},
		{"w77", knowledge.SearchOptions{Kinds: []string{"k", `"'\`}, MinConfidence: 0.9}, []string{"77"}},
		{`"text w77"`, knowledge.SearchOptions{}, []string{"77"}},
		{"w77 -text", knowledge.SearchOptions{}, []string{}},
		{"the of", knowledge.SearchOptions{}, []string{}},      // no word
		{"=k =s =t", knowledge.SearchOptions{}, []string{}},    // no word of the index's own
		{`' & \ ' | !`, knowledge.SearchOptions{}, []string{}}, // no syntax of the server
	} {
		hits, err := c.SearchText(ctx, search.text, search.opts)
		require.NoError(t, err, search.text)
		require.Equal(t, search.want, found(hits), search.text)
	}
	hits, err := c.SearchText(ctx, "-w77", knowledge.SearchOptions{K: 1000})
	require.NoError(t, err)
	require.Len(t, hits, 1000)
	var mine int
	scan(t, ctx, db, "select count(*) from knowledge.entries where id = any('{"+ids(hits)+"}')", &mine)
	require.Equal(t, 1000, mine, "a search without a wanted word keeps to the tenant")
}

func ids(hits []knowledge.Hit) (list string) {
	for i, h := range hits {
		if i > 0 {
			list += ","
		}
		list += h.ID
	}
	return list
}

// The table of the search shows nothing by itself, and the words of a search end with the
// transaction.
func TestTheTableOfTheSearchShowsNoRowWithoutWords(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	_, err := c.PutEntry(ctx, entry("e"))
	require.NoError(t, err)
	hits, err := c.SearchText(ctx, "body", knowledge.SearchOptions{})
	require.NoError(t, err)
	require.Len(t, hits, 1)
	for range 8 { // more than the pool's connections that the search may have used
		var n int
		scan(t, ctx, db, "select count(*) from knowledge.entry_search", &n)
		require.Zero(t, n)
	}
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for text, want := range map[string]int{"body": 1, "nowhere": 0} {
			hits, err := c.SearchText(modules.Join(ctx, tx), text, knowledge.SearchOptions{})
			require.NoError(t, err)
			require.Len(t, hits, want)
		}
		return nil
	}))
	// Words of the session itself show the rows of the tenant alone.
	for who, want := range map[context.Context]int{ctx: 1, as(t, "globex"): 0, t.Context(): 0} {
		require.NoError(t, db.InTx(who, pgx.TxOptions{}, func(tx pgx.Tx) error {
			var n int
			_, err := tx.Exec(who, "select set_config('knowledge.words', 'bodi', true)")
			require.NoError(t, err)
			require.NoError(t, tx.QueryRow(who, "select count(*) from knowledge.entry_search").Scan(&n))
			require.Equal(t, want, n)
			return nil
		}))
	}
}
