package knowledge_test

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/testkit"
)

func TestStoreResultsReturnsWhatIsNew(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q", "q2")
	n, err := c.StoreResults(ctx, nil)
	require.NoError(t, err)
	require.Zero(t, n)

	three := []knowledge.SearchResult{result("q", "a"), result("q", "b"), result("q", "c")}
	n, err = c.StoreResults(ctx, three)
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	n, err = c.StoreResults(ctx, append(three, result("q", "d"), result("q", "d")))
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "what the query has already does not count")
	n, err = c.StoreResults(ctx, []knowledge.SearchResult{result("q2", "a")})
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "another query may find the same page")
	storeQuery(t, as(t, "globex"), c, "q")
	n, err = c.StoreResults(as(t, "globex"), three)
	require.NoError(t, err)
	require.EqualValues(t, 3, n, "and another tenant")

	// Without any content two pages are two results.
	bare := func(url string) knowledge.SearchResult {
		return result("q", "", func(r *knowledge.SearchResult) { r.URL = url })
	}
	n, err = c.StoreResults(ctx, []knowledge.SearchResult{bare("https://a"), bare("https://b")})
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	var found int
	scan(t, ctx, db, "select count(*) from knowledge.search_results where query_id = 'q' and search_vector @@ websearch_to_tsquery('english', 'd')", &found)
	require.Equal(t, 1, found)
}

func TestStoreResultsKeepsAllOfThem(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	at := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
	hash := strings.Repeat("AB", 32)
	_, err := c.StoreResults(ctx, []knowledge.SearchResult{result("q", "text", func(r *knowledge.SearchResult) {
		r.ID, r.Quality, r.ContentHash = "r1", knowledge.QualityHigh, hash
		r.ProviderMetadata = map[string]any{"place": 1.0}
		r.PublishedAt, r.RetrievedAt, r.ProcessedAt = &at, at.Add(time.Minute), at.Add(2*time.Minute)
	}), result("q", "plain", func(r *knowledge.SearchResult) { r.ID = "r2" })})
	require.NoError(t, err)
	var title, content, url, domain, source, quality, provider, kept string
	var relevance, credibility float64
	var metadata map[string]any
	var published *time.Time
	var retrieved, created time.Time
	read := func(id string) {
		scan(t, ctx, db, `select title, content, url, domain, source_type, quality, provider, content_hash, relevance_score, credibility_score,
			provider_metadata, published_at, retrieved_at, created_at from knowledge.search_results where id = '`+id+"'",
			&title, &content, &url, &domain, &source, &quality, &provider, &kept, &relevance, &credibility, &metadata, &published, &retrieved, &created)
	}
	read("r1")
	require.Equal(t, []string{"on text", "text", "https://example.org/text", "example.org", "web", "high", "google", strings.ToLower(hash)},
		[]string{title, content, url, domain, source, quality, provider, kept})
	require.InDelta(t, 0.8, relevance, 0)
	require.InDelta(t, 0.6, credibility, 0)
	require.Equal(t, map[string]any{"place": 1.0}, metadata)
	require.True(t, at.Equal(*published) && at.Add(time.Minute).Equal(retrieved) && at.Add(2*time.Minute).Equal(created))
	metadata = nil
	read("r2")
	require.Equal(t, "medium", quality)
	require.Equal(t, map[string]any{}, metadata)
	require.Nil(t, published)
	require.WithinDuration(t, time.Now(), retrieved, time.Minute)
}

func TestStoreResultsIsAllOrNothing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	storeQuery(t, as(t, "globex"), c, "theirs")
	withID := func(r *knowledge.SearchResult) { r.ID = "same" }
	for name, bad := range map[string]struct {
		result knowledge.SearchResult
		want   error
	}{
		"no query":              {result("x", "b"), modules.ErrReference},
		"another tenant's":      {result("theirs", "b"), modules.ErrReference},
		"an id given twice":     {result("q", "b", withID), modules.ErrConflict},
		"a value out of bounds": {result("q", "b", func(r *knowledge.SearchResult) { r.RelevanceScore = 2 }), modules.ErrInvalid},
	} {
		n, err := c.StoreResults(ctx, []knowledge.SearchResult{result("q", "a", withID), bad.result})
		require.ErrorIs(t, err, bad.want, name)
		require.Zero(t, n, name)
	}
	var n int
	scan(t, ctx, db, "select count(*) from knowledge.search_results", &n)
	require.Zero(t, n)

	for must, change := range map[string]func(*knowledge.SearchResult){
		"result 1: invalid: query_id must not be blank":   func(r *knowledge.SearchResult) { r.QueryID = "" },
		"id must not be blank":                            func(r *knowledge.SearchResult) { r.ID = "\t" },
		"title must be text":                              func(r *knowledge.SearchResult) { r.Title = "\xff" },
		"content must be text":                            func(r *knowledge.SearchResult) { r.Content = "\x00" },
		"url must not be blank":                           func(r *knowledge.SearchResult) { r.URL = "" },
		"domain must be at most 255 bytes":                func(r *knowledge.SearchResult) { r.Domain = strings.Repeat("d", 256) },
		"source_type must be one of":                      func(r *knowledge.SearchResult) { r.SourceType = "" },
		"credibility_score must be from 0 to 1":           func(r *knowledge.SearchResult) { r.CredibilityScore = math.Inf(1) },
		"quality must be one of":                          func(r *knowledge.SearchResult) { r.Quality = "best" },
		"provider must be at most 100 bytes":              func(r *knowledge.SearchResult) { r.Provider = strings.Repeat("p", 101) },
		"content_hash must be a SHA-256 in hex":           func(r *knowledge.SearchResult) { r.ContentHash = "abc" },
		"provider_metadata must not hold the NUL":         func(r *knowledge.SearchResult) { r.ProviderMetadata = map[string]any{"a": "\x00"} },
		"content_hash must be a SHA-256 in hex (64 of x)": func(r *knowledge.SearchResult) { r.ContentHash = strings.Repeat("x", 64) },
	} {
		_, err := c.StoreResults(ctx, []knowledge.SearchResult{result("q", "a"), result("q", "b", change)})
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, strings.TrimSuffix(must, " (64 of x)"))
	}
}

// However long a text is, it is stored, and searched in its beginning.
func TestStoreResultsTakesLongTexts(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	var long strings.Builder
	for i := range 400_000 {
		fmt.Fprintf(&long, "w%d ", i)
	}
	n, err := c.StoreResults(ctx, []knowledge.SearchResult{result("q", long.String())})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	var first, last bool
	scan(t, ctx, db, "select search_vector @@ 'w7'::tsquery, search_vector @@ 'w399999'::tsquery from knowledge.search_results", &first, &last)
	require.True(t, first)
	require.False(t, last)
}

func TestManyResultsAreOneRoundTrip(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	results := make([]knowledge.SearchResult, 2000)
	for i := range results {
		results[i] = result("q", fmt.Sprint("text ", i))
	}
	n, err := c.StoreResults(ctx, results)
	require.NoError(t, err)
	require.EqualValues(t, 2000, n)
	// One transaction wrote them all.
	var writers int
	scan(t, ctx, db, "select count(distinct xmin::text) from knowledge.search_results", &writers)
	require.Equal(t, 1, writers)
}

// Results are written in the order of their hashes, whatever theirs is: a writer
// that waits for one holds none that comes after it.
func TestResultsInAnyOrderDoNotDeadlock(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	low, high := strings.Repeat("0", 64), strings.Repeat("f", 64)
	insert := func(tx pgx.Tx, hash string) error {
		_, err := tx.Exec(ctx, `insert into knowledge.search_results (id, query_id, title, content, url, domain, source_type, relevance_score,
			credibility_score, provider, content_hash) values ($1, 'q', '', '', '', '', 'web', 0, 0, 'p', $1)`, hash)
		return err
	}
	stored := make(chan error, 1)
	owner := testkit.OwnerPool(t, db)
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := insert(tx, low); err != nil {
			return err
		}
		go func() {
			n, err := c.StoreResults(ctx, []knowledge.SearchResult{
				result("q", "b", func(r *knowledge.SearchResult) { r.ContentHash = high }),
				result("q", "a", func(r *knowledge.SearchResult) { r.ContentHash = low }),
			})
			if err == nil && n != 0 {
				err = fmt.Errorf("%d results are new", n)
			}
			stored <- err
		}()
		require.Eventually(t, func() bool {
			var waits bool
			err := owner.QueryRow(t.Context(), `select exists (select from pg_locks l join pg_stat_activity a using (pid)
				where not l.granted and a.datname = current_database())`).Scan(&waits)
			return err == nil && waits
		}, 10*time.Second, 5*time.Millisecond, "nobody waits for the result")
		return insert(tx, high)
	}))
	require.NoError(t, <-stored)
}

func TestConcurrentResultsAreCountedOnce(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	results := make([]knowledge.SearchResult, 200)
	for i := range results {
		results[i] = result("q", fmt.Sprint("text ", i))
	}
	total := make(chan int64, 16)
	together(t, 16, func(i int) error {
		mine := slices.Clone(results)
		if i%2 == 1 {
			slices.Reverse(mine)
		}
		n, err := c.StoreResults(ctx, mine)
		total <- n
		return err
	})
	var sum int64
	for range 16 {
		sum += <-total
	}
	require.EqualValues(t, 200, sum, "each is counted by the call that stored it")
	var n int
	scan(t, ctx, db, "select count(*) from knowledge.search_results", &n)
	require.Equal(t, 200, n)
}

func TestStoreResultsTakesManyRowsButNotAnyNumber(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	storeQuery(t, ctx, c, "q")
	many := make([]knowledge.SearchResult, 10_001)
	for i := range many {
		many[i] = result("q", strconv.Itoa(i))
	}
	_, err := c.StoreResults(ctx, many)
	require.ErrorIs(t, err, modules.ErrInvalid)
	require.ErrorContains(t, err, "results must be at most 10000")
	n, err := c.StoreResults(ctx, many[:10_000])
	require.NoError(t, err)
	require.EqualValues(t, 10_000, n)
}
