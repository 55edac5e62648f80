package agentregistry

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/keyset"
)

// StoredMetrics are the outcome of a task as the registry keeps the outcome.
type StoredMetrics struct {
	Metrics
	ID         string    `json:"id"` // a UUID
	RecordedAt time.Time `json:"recorded_at"`
}

type metricsRow struct {
	Success          bool
	QualityScore     float64
	LatencyMS        int64
	TokensUsed       *int
	TaskType, TaskID *string
	ID               string
	RecordedAt       time.Time
}

func (r metricsRow) metrics() StoredMetrics {
	return StoredMetrics{Metrics{r.Success, r.QualityScore, r.LatencyMS, r.TokensUsed, r.TaskType, r.TaskID}, r.ID, r.RecordedAt}
}

const metricsSQL = `
select e.success, e.quality_score, e.latency_ms, e.tokens_used, e.task_type, e.task_id, e.id::text as id, e.recorded_at
from registry.performance_events e where e.agent_id = @agent_id`

// PerformancePage returns the outcomes that RecordPerformance stored for an agent, the newest
// first, and ErrAgentNotFound for a missing agent. limit is from 1 to modules.MaxPage, and
// modules.DefaultPage when 0. after is the Next of the previous page.
func (c *Client) PerformancePage(ctx context.Context, agentID string, limit int, after string) (modules.Page[StoredMetrics], error) {
	if err := check.ID("id", agentID); err != nil {
		return modules.Page[StoredMetrics]{}, wrap("performance", err)
	}
	p, err := keyset.List[metricsRow, StoredMetrics]{
		Select:     metricsSQL,
		Key:        []keyset.Column{{SQL: "e.recorded_at", Type: keyset.Time}, {SQL: "e.id", Type: keyset.UUID}},
		Descending: true,
		KeyOf:      func(r metricsRow) []any { return []any{r.RecordedAt, r.ID} },
		Convert:    keyset.Always(metricsRow.metrics),
		Parent:     "select exists (select from registry.agents a where a.id = @agent_id)",
		Unknown:    ErrAgentNotFound,
	}.Page(ctx, c.db, limit, after, pgx.NamedArgs{"agent_id": agentID})
	return p, wrap("performance", err)
}
