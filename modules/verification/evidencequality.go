package verification

import (
	"context"

	"github.com/agentagency/onepool/modules/internal/store"
)

// EvidenceQuality are figures of the evidence that a method found.
type EvidenceQuality struct {
	Method             MethodType `json:"method"` // empty: of evidence without a method
	Total              int64      `json:"total"`
	SupportingCount    int64      `json:"supporting_count"`
	ContradictingCount int64      `json:"contradicting_count"`
	DistinctResults    int64      `json:"distinct_results"`
	AvgRelevance       float64    `json:"avg_relevance"`
	AvgCredibility     float64    `json:"avg_credibility"`
}

const evidenceQualitySQL = `
select e.method, e.total, e.supporting as supporting_count, e.total - e.supporting as contradicting_count, e.results as distinct_results,
       (e.relevance / e.total)::float8 as avg_relevance, (e.credibility / e.total)::float8 as avg_credibility
from (select method, sum(evidence)::bigint as total, sum(supporting)::bigint as supporting, sum(results)::bigint as results,
             sum(relevance) as relevance, sum(credibility) as credibility
      from verification.evidence_counts group by method having sum(evidence) > 0) e
order by e.total desc, e.method`

// EvidenceQuality returns the figures of the tenant's evidence by method, the most
// used first. The database counts with each change, and the figures are exact.
func (c *Client) EvidenceQuality(ctx context.Context) ([]EvidenceQuality, error) {
	out, err := store.Many[EvidenceQuality](ctx, c.db, evidenceQualitySQL, nil)
	return out, wrap("evidence quality", err)
}
