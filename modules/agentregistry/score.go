package agentregistry

import (
	"cmp"
	"context"
	"fmt"
	"strings"

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
// 1.
func share(field string) string {
	wanted := "@" + field + "::text[]"
	return "case when cardinality(" + wanted + ") = 0 then 1.0 else (select count(*) from unnest(" + wanted + ") w where w = any(o." + field +
		"))::float8 / cardinality(" + wanted + ") end"
}

// scoredSQL is the statement; %s is a select of the candidates with columns.
var scoredSQL = `
select s.*, 0.4 * language_share + 0.2 * specialization_share + 0.25 * success_rate + 0.15 * (1 - utilization_percent / 100) as score
from (select o.*,
             ` + share("languages") + ` as language_share,
             ` + share("specializations") + ` as specialization_share
      from (%s) o) s
order by score desc, id limit @limit::bigint`

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
	args["limit"] = best
	rows, _, err := store.Bounded[scoredRow](ctx, c.db, fmt.Sprintf(scoredSQL, overviewSQL(ids)), args)
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
