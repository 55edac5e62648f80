package orchestrator

import (
	"context"
	"time"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/keyset"
)

// Snapshot is the figures of a tenant's queue at a moment.
type Snapshot struct {
	ID         string    `json:"id"` // a UUID
	RecordedAt time.Time `json:"recorded_at"`
	QueueStats
}

type snapshotRow struct {
	ID                                           string
	RecordedAt                                   time.Time
	Depth, Enqueued, Dequeued, Completed, Failed int64
	AvgWait, MaxWait, AvgProcessing              time.Duration
	ByPriority                                   map[int]int64
	ByStatus                                     map[string]int64
}

func (r snapshotRow) snapshot() Snapshot {
	return Snapshot{
		ID: r.ID, RecordedAt: r.RecordedAt,
		QueueStats: QueueStats{
			Depth: r.Depth, Enqueued: r.Enqueued, Dequeued: r.Dequeued, Completed: r.Completed, Failed: r.Failed,
			Cancelled: r.ByStatus[string(TaskCancelled)], AvgWait: r.AvgWait, MaxWait: r.MaxWait, AvgProcessing: r.AvgProcessing,
			ByPriority: r.ByPriority, ByStatus: r.ByStatus,
		},
	}
}

const snapshotsSQL = `
select s.id::text as id, s.recorded_at, s.queue_depth::bigint as depth, s.total_enqueued as enqueued, s.total_dequeued as dequeued,
       s.total_completed as completed, s.total_failed as failed, coalesce(s.average_wait_time_ms, 0) * interval '1 millisecond' as avg_wait,
       coalesce(s.max_wait_time_ms, 0) * interval '1 millisecond' as max_wait,
       coalesce(s.average_processing_time_ms, 0) * interval '1 millisecond' as avg_processing,
       s.priority_distribution as by_priority, s.status_distribution as by_status
from orchestrator.queue_stats s where true`

// SnapshotsPage returns the figures that SnapshotStats stored, the newest first. limit is from 1 to
// modules.MaxPage, and modules.DefaultPage when 0. after is the Next of the previous page.
func (c *Client) SnapshotsPage(ctx context.Context, limit int, after string) (modules.Page[Snapshot], error) {
	p, err := page(ctx, c, keyset.List[snapshotRow, Snapshot]{
		Select:     snapshotsSQL,
		Key:        []keyset.Column{{SQL: "s.recorded_at", Type: keyset.Time}, {SQL: "s.id", Type: keyset.UUID}},
		Descending: true,
		KeyOf:      func(r snapshotRow) []any { return []any{r.RecordedAt, r.ID} },
		Convert:    keyset.Always(snapshotRow.snapshot),
	}, limit, after, nil)
	return p, wrap("snapshots", err)
}
