package knowledge_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/knowledge"
)

// shelf puts entries that differ in what searches look at.
func shelf(t *testing.T, ctx context.Context, c *knowledge.Client) {
	t.Helper()
	for _, e := range []struct {
		id, source, kind, name, body string
		confidence                   float64
		vector                       []float32
	}{
		{"pool", "wiki", "concept", "Connection pool", "A pool lends connections to its clients.", 0.9, vector(0)},
		{"drain", "wiki", "concept", "Drain", "Draining a pool waits for connections that are out.", 0.5, vector(0.2)},
		{"goose", "docs", "tool", "Goose", "It migrates a database.", 0.9, vector(0.6)},
		{"fx", "docs", "tool", "Fx", "It builds an application; a pool is built there too, and pools are named.", 0.3, vector(1)},
		{"words", "docs", "note", "Pool without a vector", "Only its words are known: a pool, one more pool, the last pool.", 1, nil},
	} {
		_, err := c.PutEntry(ctx, knowledge.Entry{
			Source: e.source, EntityID: e.id, Kind: e.kind, Name: e.name, Body: e.body, Confidence: e.confidence, Embedding: e.vector,
			Metadata: map[string]any{"id": e.id},
		})
		require.NoError(t, err)
	}
}

func found(hits []knowledge.Hit) []string {
	out := []string{}
	for _, h := range hits {
		out = append(out, h.EntityID)
	}
	return out
}

func TestSearchSimilarIsTheCosine(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, _ *fxdb.DB) {
		ctx := as(t, "acme")
		shelf(t, ctx, c)
		near := vector(0.1)
		hits, err := c.SearchSimilar(ctx, near, knowledge.SearchOptions{})
		require.NoError(t, err)
		require.Equal(t, []string{"pool", "drain", "goose", "fx"}, found(hits))
		length := func(v []float32) float64 { return math.Hypot(float64(v[0]), float64(v[1])) }
		for i, v := range [][]float32{vector(0), vector(0.2), vector(0.6), vector(1)} {
			cosine := (float64(near[0])*float64(v[0]) + float64(near[1])*float64(v[1])) / (length(near) * length(v))
			require.InDelta(t, cosine, hits[i].Score, 1e-6)
		}
		require.Equal(t, map[string]any{"id": "pool"}, hits[0].Metadata)
		require.Empty(t, hits[0].Embedding)

		for _, o := range []struct {
			opts knowledge.SearchOptions
			want []string
		}{
			{knowledge.SearchOptions{K: 2}, []string{"pool", "drain"}},
			{knowledge.SearchOptions{MinConfidence: 0.6}, []string{"pool", "goose"}},
			{knowledge.SearchOptions{Kinds: []string{"tool", "note"}}, []string{"goose", "fx"}},
			{knowledge.SearchOptions{Sources: []string{"wiki"}, K: 1}, []string{"pool"}},
			{knowledge.SearchOptions{Sources: []string{"x"}}, []string{}},
		} {
			hits, err := c.SearchSimilar(ctx, near, o.opts)
			require.NoError(t, err)
			require.Equal(t, o.want, found(hits), "%+v", o.opts)
		}
		hits, err = c.SearchSimilar(as(t, "globex"), near, knowledge.SearchOptions{})
		require.NoError(t, err)
		require.Empty(t, hits)
	})
}

func TestSearchText(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	shelf(t, ctx, c)
	for _, s := range []struct {
		text string
		opts knowledge.SearchOptions
		want []string
	}{
		{"pools", knowledge.SearchOptions{}, []string{"words", "pool", "fx", "drain"}},
		{"pool", knowledge.SearchOptions{K: 1}, []string{"words"}},
		{"pool -vector", knowledge.SearchOptions{MinConfidence: 0.4}, []string{"pool", "drain"}},
		{`"migrates a database" or drain`, knowledge.SearchOptions{Kinds: []string{"tool"}}, []string{"goose"}},
		{"pool", knowledge.SearchOptions{Sources: []string{"wiki"}}, []string{"pool", "drain"}},
		{"the", knowledge.SearchOptions{}, []string{}},
		{"nowhere", knowledge.SearchOptions{}, []string{}},
	} {
		hits, err := c.SearchText(ctx, s.text, s.opts)
		require.NoError(t, err)
		require.Equal(t, s.want, found(hits), s.text)
		for _, h := range hits {
			require.Positive(t, h.Score)
		}
	}
	hits, err := c.SearchText(as(t, "globex"), "pool", knowledge.SearchOptions{})
	require.NoError(t, err)
	require.Empty(t, hits)
	// What was replaced is not found any more.
	_, err = c.PutEntry(ctx, entry("goose"))
	require.NoError(t, err)
	_, err = c.PutEntry(ctx, entry("goose", func(e *knowledge.Entry) { e.Name, e.Body = "Goose", "flies" }))
	require.NoError(t, err)
	hits, err = c.SearchText(ctx, "goose", knowledge.SearchOptions{Sources: []string{"wiki"}})
	require.NoError(t, err)
	require.Len(t, hits, 1)
	require.Equal(t, "flies", hits[0].Body)
}

func TestHybridSearchFusesTheRanks(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, _ *fxdb.DB) {
		ctx := as(t, "acme")
		shelf(t, ctx, c)
		hits, err := c.HybridSearch(ctx, "pool", vector(0), knowledge.SearchOptions{})
		require.NoError(t, err)
		// By words: words, pool, fx, drain. By meaning: pool, drain, goose, fx.
		require.Equal(t, []string{"pool", "drain", "fx", "words", "goose"}, found(hits))
		for i, want := range []float64{1.0/62 + 1.0/61, 1.0/64 + 1.0/62, 1.0/63 + 1.0/64, 1.0 / 61, 1.0 / 63} {
			require.InDelta(t, want, hits[i].Score, 1e-12, hits[i].EntityID)
		}
		hits, err = c.HybridSearch(ctx, "nowhere", vector(0), knowledge.SearchOptions{K: 1, Kinds: []string{"tool"}})
		require.NoError(t, err)
		require.Equal(t, []string{"goose"}, found(hits))
		hits, err = c.HybridSearch(as(t, "globex"), "pool", vector(0), knowledge.SearchOptions{K: 60})
		require.NoError(t, err)
		require.Empty(t, hits)
	})
}

// pagedSearches are the searches of SearchOptions, in pages.
func pagedSearches(c *knowledge.Client) map[string]func(context.Context, knowledge.SearchOptions, string) (modules.Page[knowledge.Hit], error) {
	return map[string]func(context.Context, knowledge.SearchOptions, string) (modules.Page[knowledge.Hit], error){
		"text": func(ctx context.Context, o knowledge.SearchOptions, after string) (modules.Page[knowledge.Hit], error) {
			return c.SearchTextPage(ctx, "pool", o, after)
		},
		"similar": func(ctx context.Context, o knowledge.SearchOptions, after string) (modules.Page[knowledge.Hit], error) {
			return c.SearchSimilarPage(ctx, vector(0.9), o, after)
		},
		"hybrid": func(ctx context.Context, o knowledge.SearchOptions, after string) (modules.Page[knowledge.Hit], error) {
			return c.HybridSearchPage(ctx, "pool", vector(0.9), o, after)
		},
	}
}

// Scores of the heavy entries are equal in pairs, and negative for some.
func TestTheHitsOfASearchThatEndsAfterAMegabyteGoOn(t *testing.T) {
	t.Parallel()
	onEachStorage(t, func(t *testing.T, c *knowledge.Client, _ *fxdb.DB) {
		ctx := as(t, "acme")
		const n = 10
		heavy := strings.Repeat("x", modules.PageBytes/3)
		for i := range n {
			_, err := c.PutEntry(ctx, entry(fmt.Sprint("e", i), func(e *knowledge.Entry) {
				e.Body, e.Embedding = strings.Repeat("pool ", 1+i/2)+heavy, vector(float32(i/2)-2)
			}))
			require.NoError(t, err)
		}
		for name, search := range pagedSearches(c) {
			for _, k := range []int{1000, n - 1} {
				var got []string
				last := math.Inf(1)
				pages := 0
				for after := ""; pages == 0 || after != ""; pages++ {
					p, err := search(ctx, knowledge.SearchOptions{K: k}, after)
					require.NoError(t, err, name)
					require.NotEmpty(t, p.Items, name)
					for _, h := range p.Items {
						require.LessOrEqual(t, h.Score, last, name)
						last, got = h.Score, append(got, h.EntityID)
					}
					after = p.Next
					require.Less(t, pages, n, "%s: the hits have no end", name)
				}
				require.Greater(t, pages, 2, name)
				require.Len(t, got, min(k, n), name)
				slices.Sort(got)
				require.Len(t, slices.Compact(got), min(k, n), "%s: a hit comes twice", name)
			}
			_, err := search(ctx, knowledge.SearchOptions{}, "e1")
			require.ErrorIs(t, err, modules.ErrInvalid, name)
			require.ErrorContains(t, err, "after must be the next of an earlier page")
		}
	})
}

func TestSearchesNameWhatIsWrong(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	for must, opts := range map[string]knowledge.SearchOptions{
		"k must be from 1 to 1000": {K: 1001}, "k must be": {K: -1}, "min_confidence must be": {MinConfidence: 7},
		"kinds must be text": {Kinds: []string{"\x00"}}, "sources must be text": {Sources: []string{"\x00"}},
	} {
		_, err := c.SearchText(ctx, "x", opts)
		require.ErrorIs(t, err, modules.ErrInvalid)
		require.ErrorContains(t, err, must)
		_, err = c.SearchSimilar(ctx, vector(0), opts)
		require.ErrorContains(t, err, must)
		_, err = c.HybridSearch(ctx, "x", vector(0), opts)
		require.ErrorContains(t, err, must)
	}
	_, err := c.SearchText(ctx, "", knowledge.SearchOptions{})
	require.ErrorContains(t, err, "text must not be blank")
	_, err = c.SearchSimilar(ctx, nil, knowledge.SearchOptions{})
	require.ErrorContains(t, err, "vector must have 768 dimensions")
	_, err = c.HybridSearch(ctx, "x", make([]float32, knowledge.Dimensions), knowledge.SearchOptions{})
	require.ErrorContains(t, err, "vector must be finite numbers, not all of them 0")
}
