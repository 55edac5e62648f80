package webnavigator_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/testkit"
)

func TestTheCacheAnswersUntilItExpires(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	first, second := storeContent(t, ctx, c, page, "first"), storeContent(t, ctx, c, page, "second")
	_, found, err := c.GetByURL(ctx, page)
	require.NoError(t, err)
	require.False(t, found, "what is stored is not yet cached")
	require.NoError(t, c.CachePut(ctx, page, first, time.Hour))
	for range 3 {
		got, found, err := c.GetByURL(ctx, page)
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, "first", got.Text)
	}
	_, found, err = c.GetByURL(as(t, "globex"), page)
	require.NoError(t, err)
	require.False(t, found)

	// Putting again begins anew.
	exec(t, ctx, db, "update web.cache set cached_at = now() - interval '1 day', last_accessed = now() - interval '1 day'")
	require.NoError(t, c.CachePut(ctx, page, second, time.Hour))
	var hits, size int
	var fresh bool
	scan(t, ctx, db, `select hit_count, cache_size_bytes, cached_at > now() - interval '1 minute' and last_accessed > now() - interval '1 minute'
		and expires_at > now() + interval '59 minutes' from web.cache`, &hits, &size, &fresh)
	require.Equal(t, []any{0, len("second"), true}, []any{hits, size, fresh})
	got, _, err := c.GetByURL(ctx, page)
	require.NoError(t, err)
	require.Equal(t, "second", got.Text)

	require.NoError(t, c.CachePut(ctx, page, second, time.Microsecond))
	_, found, err = c.GetByURL(ctx, page)
	require.NoError(t, err)
	require.False(t, found)

	require.ErrorIs(t, c.CachePut(ctx, page, nowhere, 0), webnavigator.ErrUnknownContent)
	require.ErrorIs(t, c.CachePut(as(t, "globex"), page, first, 0), modules.ErrReference)
	for must, err := range map[string]error{
		"ttl must not be negative":  c.CachePut(ctx, page, first, -1),
		"url must not be blank":     c.CachePut(ctx, "", first, 0),
		"content_id must be a UUID": c.CachePut(ctx, page, "x", 0),
	} {
		require.ErrorIs(t, err, modules.ErrInvalid)
		require.ErrorContains(t, err, must)
	}
}

func TestCacheStatsAreOfLiveEntries(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	s, err := c.CacheStats(ctx)
	require.NoError(t, err)
	require.Equal(t, webnavigator.CacheStats{}, s)
	for hours, text := range []string{"a", "bb", "ccc", "dddd", "eeeee", "gone"} {
		url := page + text
		require.NoError(t, c.CachePut(ctx, url, storeContent(t, ctx, c, url, text), time.Hour))
		exec(t, ctx, db, fmt.Sprintf("update web.cache set cached_at = now() - interval '%d hours' where url = '%s'", []int{0, 5, 11, 23, 25, 0}[hours], url))
	}
	exec(t, ctx, db, "update web.cache set expires_at = now() where url like '%gone'")
	together(t, 20, func(i int) error {
		_, _, err := c.GetByURL(ctx, page+[]string{"a", "bb", "gone", "never"}[i%4])
		return err
	})
	s, err = c.CacheStats(ctx)
	require.NoError(t, err)
	require.Equal(t, webnavigator.CacheStats{
		CacheStats: modules.CacheStats{Entries: 5, SizeBytes: 15, Hits: 10, Misses: 10, HitRate: 0.5},
		Age:        webnavigator.Age{Under1h: 1, Under6h: 2, Under12h: 3, Under24h: 4},
	}, s)
	var hits int
	scan(t, ctx, db, "select sum(hit_count) from web.cache", &hits)
	require.Equal(t, 10, hits)
}

func TestPurgeKeepsWhatIsReferredTo(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	past := storeContent(t, ctx, c, page, "past")
	require.NoError(t, c.StoreMetrics(ctx, past, webnavigator.ExtractionMetrics{}))
	cached := storeContent(t, ctx, c, page, "cached")
	require.NoError(t, c.CachePut(ctx, page, cached, time.Hour))
	expired := storeContent(t, ctx, c, page, "cache entry expired")
	require.NoError(t, c.CachePut(ctx, page+"2", expired, time.Microsecond))
	walked := storeContent(t, ctx, c, page, "walked")
	require.NoError(t, c.SetNodeStatus(ctx, addNode(t, ctx, c, startTraversal(t, ctx, c, "s")), webnavigator.NodeVisited, walked, ""))
	exec(t, ctx, db, "update web.contents set cached_until = now()")
	fresh := storeContent(t, ctx, c, page, "fresh")
	storeContent(t, as(t, "globex"), c, page, "theirs")
	exec(t, as(t, "globex"), db, "update web.contents set cached_until = now()")

	gone, err := c.Purge(ctx)
	require.NoError(t, err)
	require.Equal(t, webnavigator.PurgeResult{CacheRows: 1, ContentRows: 2}, gone)
	rows, err := db.Query(ctx, "select id::text from web.contents")
	require.NoError(t, err)
	left, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.ElementsMatch(t, []string{cached, walked, fresh}, left)
	var metrics, theirs int
	scan(t, ctx, db, "select count(*) from web.extraction_metrics", &metrics)
	require.Zero(t, metrics)
	scan(t, as(t, "globex"), db, "select count(*) from web.contents", &theirs)
	require.Equal(t, 1, theirs)

	// More than one batch.
	exec(t, ctx, db, `with c as (insert into web.contents (url, title, content, content_hash, cached_until, content_size_bytes)
		select 'u' || g, '', '', repeat('0', 64), now(), 0 from generate_series(1, 6000) g returning id, url)
		insert into web.cache (url, content_id, expires_at, cache_size_bytes) select url, id, now(), 0 from c`)
	gone, err = c.Purge(ctx)
	require.NoError(t, err)
	require.Equal(t, webnavigator.PurgeResult{CacheRows: 6000, ContentRows: 6000}, gone)
}

// A reference that somebody is making while Purge looks at the content keeps it.
func TestPurgeSparesContentThatIsJustBeingCached(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	id := storeContent(t, ctx, c, page, "text")
	exec(t, ctx, db, "update web.contents set cached_until = now()")
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		// The reference is not committed yet, but holds the content's row.
		_, err := tx.Exec(ctx, "insert into web.cache (url, content_id, expires_at, cache_size_bytes) values ('u', '"+id+"', now() + interval '1 hour', 1)")
		require.NoError(t, err)
		gone, err := c.Purge(ctx)
		require.NoError(t, err)
		require.Equal(t, webnavigator.PurgeResult{}, gone)
		return nil
	}))
	_, found, err := c.GetByURL(ctx, "u")
	require.NoError(t, err)
	require.True(t, found)
}

// A reference that was made after Purge had begun to look, and before it locked
// the content, keeps it too.
func TestPurgeLooksAgainOnceContentIsLocked(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	id := storeContent(t, ctx, c, page, "text")
	exec(t, ctx, db, "update web.contents set cached_until = now()")
	// From here on whoever reads content waits for a lock that the test holds.
	owner := testkit.OwnerPool(t, db)
	for _, sql := range []string{
		"create function web.wait() returns boolean language sql volatile as 'select pg_advisory_xact_lock_shared(7); select true'",
		"alter policy tenant_select on web.contents using (tenant_id = nullif((select current_setting('app.current_tenant', true)), '') and web.wait())",
	} {
		_, err := owner.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	holder, err := owner.Begin(t.Context())
	require.NoError(t, err)
	defer holder.Rollback(context.Background())
	_, err = holder.Exec(t.Context(), "select pg_advisory_xact_lock(7)")
	require.NoError(t, err)
	type result struct {
		gone webnavigator.PurgeResult
		err  error
	}
	done := make(chan result, 1)
	go func() {
		gone, err := c.Purge(ctx)
		done <- result{gone, err}
	}()
	require.Eventually(t, func() bool {
		var waits bool
		err := owner.QueryRow(t.Context(), `select exists (select from pg_locks l join pg_stat_activity a using (pid)
			where l.locktype = 'advisory' and not l.granted and a.datname = current_database())`).Scan(&waits)
		return err == nil && waits
	}, 10*time.Second, 5*time.Millisecond, "Purge does not read")
	exec(t, ctx, db, "insert into web.cache (url, content_id, expires_at, cache_size_bytes) values ('u', '"+id+"', now() + interval '1 hour', 1)")
	require.NoError(t, holder.Rollback(t.Context()))
	r := <-done
	require.NoError(t, r.err)
	require.Equal(t, webnavigator.PurgeResult{}, r.gone)
	_, found, err := c.GetByURL(ctx, "u")
	require.NoError(t, err)
	require.True(t, found)
}
