package orchestrator_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules/orchestrator"
)

func TestStatsAreOfTheTasks(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	empty, err := c.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, orchestrator.QueueStats{ByPriority: map[int]int64{}, ByStatus: map[string]int64{}}, empty)

	// Waits of 1 to 5 seconds, and 10 and 30 seconds of work.
	exec(t, ctx, db, `
		insert into orchestrator.tasks (id, task_type, description, priority, status, created_at, deadline, dequeued_at, completed_at)
		select v.id, 'general', '', v.priority, v.status, at, (at), at + v.wait * interval '1 second', at + v.ended * interval '1 second'
		from (select now() - interval '1 hour') as n(at), (values
			('queued', 1, 'queued', null, null), ('queued too', 9, 'queued', null, null), ('and again', 9, 'queued', 5, null),
			('claimed', 2, 'dequeued', 1, null), ('completed', 2, 'completed', 2, 12), ('failed', 3, 'failed', 3, 33),
			('cancelled', 4, 'cancelled', null, 50), ('cancelled later', 4, 'cancelled', 4, 3000)) as v(id, priority, status, wait, ended)`)
	exec(t, as(t, "globex"), db, "insert into orchestrator.tasks (id, task_type, description, deadline) values ('theirs', 'general', '', now())")
	want := orchestrator.QueueStats{
		Depth: 3, Enqueued: 8, Dequeued: 5, Completed: 1, Failed: 1, Cancelled: 2,
		AvgWait: 3 * time.Second, MaxWait: 5 * time.Second, AvgProcessing: 20 * time.Second,
		ByPriority: map[int]int64{1: 1, 9: 2},
		ByStatus:   map[string]int64{"queued": 3, "dequeued": 1, "completed": 1, "failed": 1, "cancelled": 2},
	}
	got, err := c.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, want, got)

	// A clock that goes back makes no negative wait.
	exec(t, ctx, db, "update orchestrator.tasks set dequeued_at = created_at - interval '1 second', completed_at = created_at - interval '2 seconds' where dequeued_at is not null")
	got, err = c.Stats(ctx)
	require.NoError(t, err)
	require.Zero(t, got.AvgWait)
	require.Equal(t, 5*time.Second, got.MaxWait, "the longest wait stays")
	require.Zero(t, got.AvgProcessing)
}

func TestStatsFollowTheMethods(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "1", "2", "3", "4")
	enqueue(t, ctx, c, "5", "6")
	require.NoError(t, c.Complete(ctx, "1"))
	_, err := c.Fail(ctx, "2", "", false)
	require.NoError(t, err)
	_, err = c.Retry(ctx, "3")
	require.NoError(t, err)
	_, err = c.CancelQueued(ctx)
	require.NoError(t, err)
	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, []int64{0, 6, 4, 1, 1, 3}, []int64{s.Depth, s.Enqueued, s.Dequeued, s.Completed, s.Failed, s.Cancelled})
	require.Equal(t, map[string]int64{"dequeued": 1, "completed": 1, "failed": 1, "cancelled": 3}, s.ByStatus)
	require.Positive(t, s.AvgWait)
	require.GreaterOrEqual(t, s.MaxWait, s.AvgWait)
	require.Positive(t, s.AvgProcessing)
}

func TestSnapshotsAreKept(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.SnapshotStats(ctx))
	held(t, ctx, c, "1", "2", "3")
	enqueue(t, ctx, c, "4")
	require.NoError(t, c.Complete(ctx, "1"))
	_, err := c.Fail(ctx, "2", "", false)
	require.NoError(t, err)
	requireAll(t, together(10, func(int) error { return c.SnapshotStats(ctx) }))
	want, err := c.Stats(ctx)
	require.NoError(t, err)
	var n int
	scan(t, ctx, db, "select count(*) from orchestrator.queue_stats", &n)
	require.Equal(t, 11, n)
	var depth, enqueued, dequeued, completed, failed, longest int64
	var wait, processing float64
	var priorities, statuses []byte
	var at time.Time
	scan(t, ctx, db, `select queue_depth, total_enqueued, total_dequeued, total_completed, total_failed, average_wait_time_ms, average_processing_time_ms,
		max_wait_time_ms, priority_distribution, status_distribution, recorded_at from orchestrator.queue_stats order by recorded_at desc limit 1`,
		&depth, &enqueued, &dequeued, &completed, &failed, &wait, &processing, &longest, &priorities, &statuses, &at)
	require.Equal(t, []int64{1, 4, 3, 1, 1}, []int64{depth, enqueued, dequeued, completed, failed})
	ms := func(v float64) time.Duration { return time.Duration(v * float64(time.Millisecond)) }
	require.Equal(t, want.AvgWait, ms(wait))
	require.Equal(t, want.AvgProcessing, ms(processing))
	require.InDelta(t, want.MaxWait.Milliseconds(), longest, 1)
	require.JSONEq(t, `{"1": 1}`, string(priorities))
	var byStatus map[string]int64
	require.NoError(t, json.Unmarshal(statuses, &byStatus))
	require.Equal(t, want.ByStatus, byStatus)
	require.WithinDuration(t, time.Now(), at, time.Minute)
}
