package orchestrator

import (
	"context"
	"time"
)

// QueueStats are figures over a tenant's tasks, at a moment. An average over no tasks is 0. All
// figures are exact; MaxWait alone keeps the wait of tasks that are deleted or claimed again.
type QueueStats struct {
	Depth         int64            `json:"depth"`    // queued now
	Enqueued      int64            `json:"enqueued"` // all tasks
	Dequeued      int64            `json:"dequeued"` // claimed at least once, with any later status
	Completed     int64            `json:"completed"`
	Failed        int64            `json:"failed"`
	Cancelled     int64            `json:"cancelled"`
	AvgWait       time.Duration    `json:"avg_wait_ns"` // from creation to the last claim
	MaxWait       time.Duration    `json:"max_wait_ns"`
	AvgProcessing time.Duration    `json:"avg_processing_ns"` // from the last claim to the end
	ByPriority    map[int]int64    `json:"by_priority"`       // queued tasks
	ByStatus      map[string]int64 `json:"by_status"`         // all tasks
}

// figuresSQL adds up the counts that every write of a task keeps.
const figuresSQL = `
with figures as (
    select coalesce(sum(tasks) filter (where status = 'queued'), 0)::bigint as depth, coalesce(sum(tasks), 0)::bigint as enqueued,
           coalesce(sum(claimed), 0)::bigint as dequeued, coalesce(sum(tasks) filter (where status = 'completed'), 0)::bigint as completed,
           coalesce(sum(tasks) filter (where status = 'failed'), 0)::bigint as failed,
           coalesce(sum(tasks) filter (where status = 'cancelled'), 0)::bigint as cancelled,
           coalesce(sum(waited) / 1000 / nullif(sum(claimed), 0), 0)::float8 as avg_wait_ms, coalesce(max(longest) / 1000, 0)::float8 as max_wait_ms,
           coalesce(sum(processing) / 1000 / nullif(sum(processed), 0), 0)::float8 as avg_processing_ms,
           (select coalesce(jsonb_object_agg(p.priority, p.n), '{}')
            from (select priority, sum(tasks) as n from orchestrator.task_counts where status = 'queued' group by priority having sum(tasks) <> 0) p) as by_priority,
           (select coalesce(jsonb_object_agg(s.status, s.n), '{}')
            from (select status, sum(tasks) as n from orchestrator.task_counts group by status having sum(tasks) <> 0) s) as by_status
    from orchestrator.task_counts
)`

// Stats returns the figures of the tenant's queue. DeleteFinished takes tasks out of the
// figures; SnapshotStats keeps the figures. For the client's figures see ClientStats.
func (c *Client) Stats(ctx context.Context) (QueueStats, error) {
	type row struct {
		Depth, Enqueued, Dequeued, Completed, Failed, Cancelled int64
		AvgWaitMs, MaxWaitMs, AvgProcessingMs                   float64
		ByPriority                                              map[int]int64
		ByStatus                                                map[string]int64
	}
	r, err := one[row](ctx, c, figuresSQL+" select * from figures", nil)
	if err != nil {
		return QueueStats{}, wrap("stats", err)
	}
	ms := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
	return QueueStats{
		Depth: r.Depth, Enqueued: r.Enqueued, Dequeued: r.Dequeued, Completed: r.Completed, Failed: r.Failed, Cancelled: r.Cancelled,
		AvgWait: ms(r.AvgWaitMs), MaxWait: ms(r.MaxWaitMs), AvgProcessing: ms(r.AvgProcessingMs),
		ByPriority: r.ByPriority, ByStatus: r.ByStatus,
	}, nil
}

const snapshotSQL = figuresSQL + `
insert into orchestrator.queue_stats (queue_depth, total_enqueued, total_dequeued, total_completed, total_failed,
    average_wait_time_ms, average_processing_time_ms, max_wait_time_ms, priority_distribution, status_distribution)
select depth, enqueued, dequeued, completed, failed, avg_wait_ms, avg_processing_ms, max_wait_ms::bigint, by_priority, by_status from figures`

// SnapshotStats adds a row with the present figures to orchestrator.queue_stats.
func (c *Client) SnapshotStats(ctx context.Context) error {
	_, err := changed(ctx, c, snapshotSQL, nil)
	return wrap("snapshot stats", err)
}
