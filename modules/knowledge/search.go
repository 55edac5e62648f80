package knowledge

import (
	"cmp"
	"context"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// MaxCandidates is how many entries an exact search compares with at most.
const MaxCandidates = 50_000

// The hits of a search: unless the options say otherwise, and at most.
const (
	defaultHits = 10
	maxHits     = 1000
)

// SearchOptions say which active entries a search looks at and how many it
// returns. Filters that are set are joined with AND.
type SearchOptions struct {
	K             int      `json:"k"`              // hits at most, 1 to 1000, and modules.PageBytes; default 10
	MinConfidence float64  `json:"min_confidence"` // 0 to 1
	Kinds         []string `json:"kinds"`          // any of these
	Sources       []string `json:"sources"`        // any of these
}

func (o SearchOptions) validate() error {
	return modules.FirstError(
		modules.Check("k", "must be from 1 to 1000", o.K >= 0 && o.K <= maxHits),
		modules.CheckShare("min_confidence", o.MinConfidence),
		modules.CheckStorable("kinds", o.Kinds...),
		modules.CheckStorable("sources", o.Sources...),
	)
}

func (o SearchOptions) limit() int { return cmp.Or(o.K, defaultHits) }

// filter returns the conditions that are set, on knowledge.entries e, and the
// values of all. One that is not set is left out of the text instead of being
// answered by "or": the planner does not look behind that for an index.
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
		"min_confidence": o.MinConfidence, "kinds": modules.Texts(o.Kinds), "sources": modules.Texts(o.Sources), "k": o.limit(),
	}
}

// Hit is an entry that a search found, without its embedding.
type Hit struct {
	Entry
	Score float64 `json:"score"` // the better the higher; what it is depends on the search
}

// hits returns the statement that completes the expression named found, which has
// the columns tenant_id, id, score and candidates.
func hits(found string) string {
	return "\nselect " + entryColumns + ", coalesce(f.score, 0)::float8 as score, f.candidates from " + found + ` f
join knowledge.entries e on e.tenant_id = f.tenant_id and e.id = f.id
order by f.score desc, e.id`
}

type hitRow struct {
	entryRow
	Score      float64
	Candidates int64
}

// search runs a statement that ends in hits, after the settings that it wants, in
// one transaction and one round trip.
func (c *Client) search(ctx context.Context, settings []setting, sql string, args pgx.NamedArgs) ([]Hit, error) {
	var rows []hitRow
	err := modules.Batch(ctx, c.db, func(b *pgx.Batch) {
		for _, s := range settings {
			// The name is no parameter: the pool closes a connection on which any setting may be set.
			b.Queue("select set_config('"+s.name+"', $1, true)", s.value)
		}
		b.Queue(sql, args).Query(func(r pgx.Rows) (err error) {
			rows, _, err = modules.CollectBounded[hitRow](r)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	out := make([]Hit, len(rows))
	for i, r := range rows {
		if r.Candidates > MaxCandidates {
			return nil, ErrTooManyCandidates
		}
		e, err := r.entry()
		if err != nil {
			return nil, err
		}
		out[i] = Hit{e, r.Score}
	}
	return out, nil
}

// setting holds for the transaction of a search.
// setting has a name of this package's own.
type setting struct{ name, value string }

// textSQL finds the entries with the words of @text.
func textSQL(where, limit string) string {
	return `
    select e.tenant_id, e.id, ts_rank_cd(e.search_vector, q.query)::float8 as score, 0::bigint as candidates
    from knowledge.entries e, websearch_to_tsquery('english', @text::text) as q(query)
    where ` + where + ` and e.search_vector @@ q.query
    order by score desc, e.id limit ` + limit
}

func checkSearchText(text string) error { return modules.CheckText("text", text, math.MaxInt32) }

// SearchText returns the active entries that have the words of text in their name
// or body, the best first. text is written as for a web search: "exact words",
// or, -without. English word forms count as one; names weigh more than bodies,
// and of a body the first 100,000 characters are searched. Its cost grows with the
// tenant's active entries that the options leave: each is looked at, by an index
// that is led by the tenant, since row-level security lets no word index be asked.
func (c *Client) SearchText(ctx context.Context, text string, opts SearchOptions) ([]Hit, error) {
	if err := modules.FirstError(checkSearchText(text), opts.validate()); err != nil {
		return nil, wrap("search text", err)
	}
	where, args := opts.filter()
	args["text"] = text
	found, err := c.search(ctx, nil, "with found as ("+textSQL(where, "@k::int")+"\n)"+hits("found"), args)
	return found, wrap("search text", err)
}

// SearchSimilar returns the active entries whose embeddings point most nearly
// where v does, with the cosine of the angle as their score. v has Dimensions
// numbers of the model that made the embeddings. Without pgvector the search is
// exact, and fails with ErrTooManyCandidates where the options leave more than
// MaxCandidates entries; with it the search is approximate.
func (c *Client) SearchSimilar(ctx context.Context, v []float32, opts SearchOptions) ([]Hit, error) {
	if err := modules.FirstError(checkVector("vector", v), opts.validate()); err != nil {
		return nil, wrap("search similar", err)
	}
	s, err := c.embeddings(ctx)
	if err != nil {
		return nil, wrap("search similar", err)
	}
	where, args := opts.filter()
	args["embedding"], args["length"] = s.encode(v), length(v)
	found, err := c.search(ctx, s.settings(opts.limit()), "with found as ("+s.similarSQL(where, "@k::int")+"\n)"+hits("found"), args)
	return found, wrap("search similar", err)
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

// HybridSearch returns the active entries that SearchText and SearchSimilar find,
// the ones that both rank high first: each list gives 1 / (60 + place). Of each
// list the first 50 count, or K where that is more. It costs what both cost.
func (c *Client) HybridSearch(ctx context.Context, text string, v []float32, opts SearchOptions) ([]Hit, error) {
	found, err := c.hybridSearch(ctx, text, v, opts)
	return found, wrap("hybrid search", err)
}

// hybridCandidates is how many of each list count at least.
const hybridCandidates = 50

func (c *Client) hybridSearch(ctx context.Context, text string, v []float32, opts SearchOptions) ([]Hit, error) {
	if err := modules.FirstError(checkSearchText(text), checkVector("vector", v), opts.validate()); err != nil {
		return nil, err
	}
	s, err := c.embeddings(ctx)
	if err != nil {
		return nil, err
	}
	where, args := opts.filter()
	depth := max(hybridCandidates, opts.limit())
	args["embedding"], args["length"], args["text"], args["depth"] = s.encode(v), length(v), text, depth
	return c.search(ctx, s.settings(depth),
		"with near as ("+s.similarSQL(where, "@depth::int")+"\n), worded as ("+textSQL(where, "@depth::int")+"\n)"+fuseSQL+hits("fused"), args)
}
