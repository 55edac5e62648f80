package agentregistry

import (
	"context"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
)

// FindPage is FindByCapability for callers of page after page. q.Limit is from 1 to
// modules.MaxPage, and modules.DefaultPage when 0. after is the Next of the previous page. An agent
// whose figures change between two pages may appear twice or not at all.
func (c *Client) FindPage(ctx context.Context, q Query, after string) (modules.Page[Agent], error) {
	limit := q.Limit
	if err := check.First(q.validate(), keyset.CheckLimit(&limit)); err != nil {
		return modules.Page[Agent]{}, wrap("find", err)
	}
	q.Limit = limit + 1 // a further agent shows whether a page follows
	_, args := q.ranked("")
	p, err := keyset.List[overview, Agent]{
		Nested: func(behind string, _ int) string {
			ids, _ := q.ranked(behind)
			return overviewSQL(ids) + " order by o.success_rate desc, o.utilization_percent, o.id"
		},
		Key: []keyset.Column{ // rankOrder
			{SQL: "o.success_order", Type: keyset.Number}, {SQL: "o.utilization_percent", Type: keyset.Number}, {SQL: "o.id", Type: keyset.Text},
		},
		KeyOf:   func(o overview) []any { return []any{-o.SuccessRate, o.UtilizationPercent, o.ID} },
		Convert: keyset.Always(overview.agent),
	}.Page(ctx, c.db, limit, after, args)
	return p, wrap("find", err)
}

// FindScoredPage is FindScored for callers of page after page: the pages have the first 500 agents
// that match, in the order of the score. q.Limit is from 1 to modules.MaxPage, and
// modules.DefaultPage when 0. after is the Next of the previous page. An agent whose figures change
// between two pages may appear twice or not at all.
func (c *Client) FindScoredPage(ctx context.Context, q Query, after string) (modules.Page[Scored], error) {
	limit := q.Limit
	if err := check.First(q.validate(), keyset.CheckLimit(&limit)); err != nil {
		return modules.Page[Scored]{}, wrap("find scored", err)
	}
	q.Limit = scoredCandidates
	ids, args := q.ranked("")
	p, err := keyset.List[scoredRow, Scored]{
		Nested:  func(behind string, bound int) string { return scoredSQL(ids, behind, bound) },
		Key:     []keyset.Column{{SQL: "-s.score", Type: keyset.Number}, {SQL: "s.id", Type: keyset.Text}},
		KeyOf:   func(r scoredRow) []any { return []any{-r.Score, r.ID} },
		Convert: keyset.Always(q.scored),
	}.Page(ctx, c.db, limit, after, args)
	return p, wrap("find scored", err)
}
