package knowledge

import (
	"cmp"
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
	"github.com/agentagency/onepool/modules/internal/store"
)

// MaxCandidates is how many entries an exact search of embeddings compares with at most. An
// exact search takes about 0.1 ms for each entry without pgvector, and 0.01 ms with pgvector.
const MaxCandidates = 10_000

// MaxMatches is how many entries with the words of a text SearchText ranks at most. Of more
// entries SearchText ranks the entries that the server finds first.
const MaxMatches = 10_000

// The hits of a search: unless the options say otherwise, and at most.
const (
	defaultHits = 10
	maxHits     = 1000
)

// SearchOptions select the active entries of a search and the number of hits. All set filters
// are joined with AND.
type SearchOptions struct {
	K             int      `json:"k"`              // hits of all pages at most, 1 to 1000; default 10
	MinConfidence float64  `json:"min_confidence"` // 0 to 1
	Kinds         []string `json:"kinds"`          // any of the kinds
	Sources       []string `json:"sources"`        // any of the sources
}

func (o SearchOptions) validate() error {
	return check.First(
		check.That("k", "must be from 1 to 1000", o.K >= 0 && o.K <= maxHits),
		check.Share("min_confidence", o.MinConfidence),
		check.Storable("kinds", o.Kinds...),
		check.Storable("sources", o.Sources...),
	)
}

func (o SearchOptions) limit() int { return cmp.Or(o.K, defaultHits) }

// filter returns the conditions that are set, on knowledge.entries e, and the values of all
// filters. filter leaves an unset condition out of the text: for a condition with "or" the
// planner would not use an index.
func (o SearchOptions) filter() (where string, args pgx.NamedArgs) {
	where = "e.status = 'active'"
	if o.MinConfidence > 0 {
		where += " and e.confidence >= @min_confidence::float8"
	}
	if len(o.Kinds) > 0 {
		where += " and e.kind = any(@kinds::text[])"
	}
	if len(o.Sources) > 0 {
		where += " and e.source = any(@sources::text[])"
	}
	return where, pgx.NamedArgs{
		"min_confidence": o.MinConfidence, "kinds": sqlarg.Texts(o.Kinds), "sources": sqlarg.Texts(o.Sources), "k": o.limit(),
	}
}

// Hit is an entry that a search found, without the embedding.
type Hit struct {
	Entry
	Score float64 `json:"score"` // the higher the better; the scale depends on the search
}

// hitScore is the score of a row of hits.
const hitScore = "coalesce(f.score, 0)::float8"

// hits returns the statement that completes the expression named found, with the columns
// tenant_id, id, score and candidates. With behind the statement leaves out the hits up to the
// hit of a cursor.
func hits(found string, behind bool) string {
	sql := "\nselect " + entryColumns + ", " + hitScore + " as score, f.candidates from " + found + ` f
join knowledge.entries e on e.tenant_id = f.tenant_id and e.id = f.id`
	if behind { // a search of too many candidates has no scores, and fails on every page
		sql += fmt.Sprintf("\nwhere f.candidates > %d or (-"+hitScore+", e.id) > (-@key0::float8, @key1::uuid)", MaxCandidates)
	}
	return sql + "\norder by score desc, e.id"
}

type hitRow struct {
	entryRow
	Score      float64
	Candidates int64
}

// settings are statements before and after a search.
type settings struct{ before, after []string }

// search runs the statement that is with and then hits of found, between the statements of
// settings, in the same transaction and round trip. after is the Next of the previous page.
func (c *Client) search(ctx context.Context, around settings, with, found, after string, args pgx.NamedArgs) (modules.Page[Hit], error) {
	if after != "" {
		if err := keyset.Place(after, args, keyset.Number, keyset.UUID); err != nil {
			return modules.Page[Hit]{}, err
		}
	}
	var rows []hitRow
	var more bool
	err := store.Batch(ctx, c.db, func(b *pgx.Batch) {
		for _, s := range around.before {
			b.Queue(s, args)
		}
		b.Queue(with+hits(found, after != ""), args).Query(func(r pgx.Rows) (err error) {
			rows, more, err = store.CollectBounded[hitRow](r)
			return err
		})
		for _, s := range around.after {
			b.Queue(s)
		}
	})
	if err != nil {
		return modules.Page[Hit]{}, err
	}
	return hitsPage(rows, more)
}

func hitsPage(rows []hitRow, more bool) (p modules.Page[Hit], err error) {
	p.Items = make([]Hit, len(rows))
	for i, r := range rows {
		if r.Candidates > MaxCandidates {
			return modules.Page[Hit]{}, ErrTooManyCandidates
		}
		e, err := r.entry()
		if err != nil {
			return modules.Page[Hit]{}, err
		}
		p.Items[i] = Hit{e, r.Score}
	}
	if more {
		last := rows[len(rows)-1]
		p.Next, err = keyset.Cursor(last.Score, last.ID)
	}
	return p, err
}

// set returns a statement that sets a setting for the transaction of a search. The name is no
// parameter: the pool closes a connection after a set_config of an unknown name.
func set(name, value string) string { return "select set_config('" + name + "', " + value + ", true)" }

// words returns the statement that sets the words of a search for the policy of
// knowledge.entry_search: the words of @text, and the words by which the index on words keeps to
// the tenant, the kinds and the sources. Without a word in @text the setting is empty, and the
// policy shows no entry.
func (o SearchOptions) words() string {
	all := "q.query && ('''=t' || hashtextextended(app.current_tenant(), 0) || '''')::tsquery"
	if len(o.Kinds) > 0 {
		all += " && " + anyWord("=k", "@kinds")
	}
	if len(o.Sources) > 0 {
		all += " && " + anyWord("=s", "@sources")
	}
	return set("knowledge.words", `coalesce((
    select (`+all+`)::text from websearch_to_tsquery('english', @text::text) as q(query) where numnode(q.query) > 0), '')`)
}

func anyWord(prefix, values string) string {
	return "(select string_agg('''" + prefix + "' || hashtextextended(v, 0) || '''', ' | ')::tsquery from unnest(" + values + "::text[]) v)"
}

// textSQL finds the entries with the words of @text. The policy of knowledge.entry_search
// compares the words, after the statement of words.
func textSQL(where, limit string) string {
	return fmt.Sprintf(`
    select s.tenant_id, s.id, ts_rank_cd(s.search_vector, q.query)::float8 as score, 0::bigint as candidates
    from (select e.tenant_id, e.id, e.search_vector from knowledge.entry_search e where %s limit %d) s,
         websearch_to_tsquery('english', @text::text) as q(query)
    order by score desc, s.id limit %s`, where, MaxMatches, limit)
}

func checkSearchText(text string) error { return check.Text("text", text, math.MaxInt32) }

// SearchText returns the active entries with the words of text in the name or the body, the
// best first. text has the syntax of a web search: "exact words", or, -without. All English
// forms of a word count as the same word. Names weigh more than bodies, and SearchText searches
// the first 100,000 characters of a body. An index on words answers, so the cost grows with the
// entries that have all the words, and not with the tenant's entries. SearchText ranks MaxMatches
// entries at most. The hits end after modules.PageBytes: SearchTextPage reports whether hits follow.
func (c *Client) SearchText(ctx context.Context, text string, opts SearchOptions) ([]Hit, error) {
	p, err := c.SearchTextPage(ctx, text, opts, "")
	return p.Items, err
}

// SearchTextPage is SearchText for callers of page after page: the pages have the first K hits.
// after is the Next of the previous page. Each page is a search of its own: an entry that changes
// between two pages may appear twice or not at all.
func (c *Client) SearchTextPage(ctx context.Context, text string, opts SearchOptions, after string) (modules.Page[Hit], error) {
	if err := check.First(checkSearchText(text), opts.validate()); err != nil {
		return modules.Page[Hit]{}, wrap("search text", err)
	}
	where, args := opts.filter()
	args["text"] = text
	p, err := c.search(ctx, settings{before: []string{opts.words()}}, "with found as ("+textSQL(where, "@k::int")+"\n)", "found", after, args)
	return p, wrap("search text", err)
}

// SearchSimilar returns the active entries with the embeddings nearest to the direction of v,
// and the cosine of the angle as the score. v has Dimensions numbers of the embeddings' model.
// Without pgvector the search is exact, and fails with ErrTooManyCandidates if the options
// leave more than MaxCandidates entries. With pgvector the search is exact if the tenant has at
// most MaxCandidates active entries of the kinds and sources, and approximate otherwise. The hits
// end after modules.PageBytes: SearchSimilarPage reports whether hits follow.
func (c *Client) SearchSimilar(ctx context.Context, v []float32, opts SearchOptions) ([]Hit, error) {
	p, err := c.SearchSimilarPage(ctx, v, opts, "")
	return p.Items, err
}

// SearchSimilarPage is SearchSimilar for callers of page after page, as SearchTextPage is for
// SearchText.
func (c *Client) SearchSimilarPage(ctx context.Context, v []float32, opts SearchOptions, after string) (modules.Page[Hit], error) {
	if err := check.First(checkVector("vector", v), opts.validate()); err != nil {
		return modules.Page[Hit]{}, wrap("search similar", err)
	}
	s, err := c.embeddings(ctx)
	if err != nil {
		return modules.Page[Hit]{}, wrap("search similar", err)
	}
	where, args := opts.filter()
	args["embedding"], args["length"] = s.encode(v), length(v)
	p, err := c.search(ctx, s.settings(args, opts.limit()), "with found as ("+s.similarSQL(where, "@k::int")+"\n)", "found", after, args)
	return p, wrap("search similar", err)
}

// fuseSQL adds up the shares of each place in the two lists.
const fuseSQL = `, fused as (
    select tenant_id, id, sum(1.0 / (60 + place)) as score, (select coalesce(max(candidates), 0) from near) as candidates
    from (select tenant_id, id, row_number() over (order by score desc, id) as place from near
          union all
          select tenant_id, id, row_number() over (order by score desc, id) from worded) ranked
    group by tenant_id, id
    order by score desc, id limit @k::int
)`

// HybridSearch returns the active entries that SearchText and SearchSimilar find. An entry with
// a high rank in both lists comes first: each list gives 1 / (60 + place). Of each list the
// first 50 count, or K if K is more. HybridSearch costs as much as both searches. The hits end
// after modules.PageBytes: HybridSearchPage reports whether hits follow.
func (c *Client) HybridSearch(ctx context.Context, text string, v []float32, opts SearchOptions) ([]Hit, error) {
	p, err := c.HybridSearchPage(ctx, text, v, opts, "")
	return p.Items, err
}

// HybridSearchPage is HybridSearch for callers of page after page, as SearchTextPage is for
// SearchText.
func (c *Client) HybridSearchPage(ctx context.Context, text string, v []float32, opts SearchOptions, after string) (modules.Page[Hit], error) {
	p, err := c.hybridSearch(ctx, text, v, opts, after)
	return p, wrap("hybrid search", err)
}

// hybridCandidates is how many of each list count at least.
const hybridCandidates = 50

func (c *Client) hybridSearch(ctx context.Context, text string, v []float32, opts SearchOptions, after string) (modules.Page[Hit], error) {
	if err := check.First(checkSearchText(text), checkVector("vector", v), opts.validate()); err != nil {
		return modules.Page[Hit]{}, err
	}
	s, err := c.embeddings(ctx)
	if err != nil {
		return modules.Page[Hit]{}, err
	}
	where, args := opts.filter()
	depth := max(hybridCandidates, opts.limit())
	args["embedding"], args["length"], args["text"], args["depth"] = s.encode(v), length(v), text, depth
	around := s.settings(args, depth)
	around.before = append(around.before, opts.words())
	return c.search(ctx, around,
		"with near as ("+s.similarSQL(where, "@depth::int")+"\n), worded as ("+textSQL(where, "@depth::int")+"\n)"+fuseSQL, "fused", after, args)
}
