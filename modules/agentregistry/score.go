package agentregistry

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/agentagency/onepool/modules/internal/keyset"
	"github.com/agentagency/onepool/modules/internal/store"
)

// Scored is an agent with the score of the fit.
type Scored struct {
	Agent
	Score  float64 `json:"score"`  // 0 to 1
	Reason string  `json:"reason"` // the parts of the score
}

// scoredLimit is the default limit of FindScored, and scoredCandidates the number of agents that
// FindScored scores.
const (
	scoredLimit      = 50
	scoredCandidates = 500
)

// share is the share of the wanted values that an agent has; without wanted values the share is
// 1. An agent that matches has a single wanted value.
func share(field string) string {
	wanted := "cardinality(@" + field + "::text[])"
	return "case when " + wanted + " <= 1 then 1.0 else h." + field + "::float8 / " + wanted + " end as "
}

// scoredSQL returns a select of the first @page_limit agents of the candidates ids by score, and
// behind a place in this order, if any. bound is the [keyset.Bound] of @page_limit. The statement
// reads the rest of an agent only for the answer.
func scoredSQL(ids, behind string, bound int) string {
	const (
		order = " order by s.score desc, s.id"
		has   = "count(*) filter (where c.kind = '%s' and c.value = any(@%s::text[])) as %[2]s"
	)
	if behind != "" {
		behind = " where " + behind
	}
	return "select " + columns + `, s.language_share, s.specialization_share, s.score
from (select * from (select * from (
    select r.*, 0.4 * language_share + 0.2 * specialization_share + 0.25 * success_rate + 0.15 * (1 - utilization_percent / 100) as score
    from (select r.*, ` + share("languages") + "language_share, " + share("specializations") + `specialization_share
          from (` + ids + `) r, lateral (
              select ` + fmt.Sprintf(has, "language", "languages") + ", " + fmt.Sprintf(has, "specialization", "specializations") + `
              from registry.agent_capabilities c
              where c.tenant_id = r.tenant_id and c.agent_id = r.id and greatest(cardinality(@languages::text[]), cardinality(@specializations::text[])) > 1
          ) h offset 0) r
    ) s` + behind + order + fmt.Sprintf(" limit %d", bound) + `) s limit @page_limit::bigint) s,
` + lookedUp("s") + order
}

// FindScored returns the agents that match q, the best fit first: 0.4 for the share of the
// wanted languages, 0.2 for the share of the wanted specializations, 0.25 for the success rate
// and 0.15 for free capacity. FindScored scores the first 500 agents that match, in the order of
// FindByCapability, or q.Limit agents if the limit is larger. Default limit 50; modules.PageBytes
// at most.
func (c *Client) FindScored(ctx context.Context, q Query) ([]Scored, error) {
	if err := q.validate(); err != nil {
		return nil, wrap("find scored", err)
	}
	best := cmp.Or(q.Limit, scoredLimit)
	q.Limit = max(best, scoredCandidates)
	ids, args := q.ranked("")
	args["page_limit"] = best
	rows, _, err := store.Bounded[scoredRow](ctx, c.db, scoredSQL(ids, "", keyset.Bound(best)), args)
	if err != nil {
		return nil, wrap("find scored", err)
	}
	out := make([]Scored, len(rows))
	for i, r := range rows {
		out[i] = q.scored(r)
	}
	return out, nil
}

// scoredRow is a row of scoredSQL.
type scoredRow struct {
	overview
	LanguageShare, SpecializationShare, Score float64
}

// scored returns the agent of a row with the score for q.
func (q Query) scored(r scoredRow) Scored {
	var reason strings.Builder
	if n := len(unique(q.Languages)); n > 0 {
		fmt.Fprintf(&reason, "%.0f of %d languages, ", r.LanguageShare*float64(n), n)
	}
	if n := len(unique(q.Specializations)); n > 0 {
		fmt.Fprintf(&reason, "%.0f of %d specializations, ", r.SpecializationShare*float64(n), n)
	}
	fmt.Fprintf(&reason, "success rate %.2f, utilization %.0f%%", r.SuccessRate, r.UtilizationPercent)
	return Scored{r.agent(), r.Score, reason.String()}
}
