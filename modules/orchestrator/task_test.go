package orchestrator_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
)

func TestTaskIsFoundOrNot(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	enqueue(t, ctx, c, "t", "other")
	require.Equal(t, "do t", get(t, ctx, c, "t").Description)
	_, err := c.Task(ctx, "missing")
	require.ErrorIs(t, err, orchestrator.ErrTaskNotFound)
	require.ErrorIs(t, err, modules.ErrNotFound)
	require.EqualError(t, err, "orchestrator: task: task not found")
	_, err = c.Task(ctx, "")
	require.ErrorIs(t, err, modules.ErrInvalid)
}

func TestQueuedIsInTheOrderOfPriorityAndPlace(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	none, err := c.Queued(ctx, 0)
	require.NoError(t, err)
	require.NotNil(t, none)
	require.Empty(t, none)
	for i, priority := range []int{1, 5, 1, 10, 5} {
		require.NoError(t, c.Enqueue(ctx, task(fmt.Sprint(i), func(t *orchestrator.Task) { t.Priority = priority })))
	}
	queued, err := c.Queued(ctx, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"3", "1", "4", "0", "2"}, ids(queued))
	queued, err = c.Queued(ctx, 2)
	require.NoError(t, err)
	require.Equal(t, []string{"3", "1"}, ids(queued))
	claim(t, ctx, c, 3)
	queued, err = c.Queued(ctx, 1000)
	require.NoError(t, err)
	require.Equal(t, []string{"0", "2"}, ids(queued))
	for _, limit := range []int{-1, 1001} {
		_, err := c.Queued(ctx, limit)
		require.ErrorIs(t, err, modules.ErrInvalid)
		require.ErrorContains(t, err, "limit must be from 1 to 1000")
	}

	// There is a bound without being asked for.
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.MaxCapacity, 5000, nil, ""))
	many := make([]orchestrator.Task, 1200)
	for i := range many {
		many[i] = task(fmt.Sprint("many ", i))
	}
	require.NoError(t, c.EnqueueAll(ctx, many))
	queued, err = c.Queued(ctx, 0)
	require.NoError(t, err)
	require.Len(t, queued, 1000)
}

func TestTimedOutAreThoseQueuedOrClaimedForTooLong(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "claimed", "claimed and late", "completed")
	require.NoError(t, c.Complete(ctx, "completed"))
	enqueue(t, ctx, c, "queued", "queued and late", "queued and later")
	none, err := c.TimedOut(ctx)
	require.NoError(t, err)
	require.NotNil(t, none)
	require.Empty(t, none)
	exec(t, ctx, db, `update orchestrator.tasks set deadline = now() - make_interval(secs => case id
		when 'claimed and late' then 2 when 'queued and late' then 3 when 'queued and later' then 1 when 'completed' then 9 else -100 end)`)
	late, err := c.TimedOut(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{"queued and late", "claimed and late", "queued and later"}, ids(late))
	require.Equal(t, orchestrator.TaskDequeued, late[1].Status)

	// A task that nobody claims in its time is among them, without any help.
	require.NoError(t, c.Enqueue(ctx, task("short", func(t *orchestrator.Task) { t.Timeout = time.Millisecond })))
	require.Eventually(t, func() bool {
		late, err := c.TimedOut(ctx)
		return err == nil && len(late) == 4 && late[3].ID == "short"
	}, 10*time.Second, time.Millisecond)
	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 4, s.Depth, "looking changes nothing")
}

// A page goes on after a task, wherever that has gone meanwhile.
func TestQueuedGoesOnAfterATask(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	var want []string
	for _, priority := range []int{9, 5, 1} {
		for i := range 5 {
			id := fmt.Sprint(priority, "-", i)
			require.NoError(t, c.Enqueue(ctx, task(id, func(t *orchestrator.Task) { t.Priority = priority })))
			want = append(want, id)
		}
	}
	got := []string{}
	for after := []string{}; ; {
		page, err := c.Queued(ctx, 4, after...)
		require.NoError(t, err)
		require.NotNil(t, page)
		got = append(got, ids(page)...)
		if len(page) < 4 {
			break
		}
		after = []string{page[3].ID}
	}
	require.Equal(t, want, got)
	last, err := c.Queued(ctx, 4, want[len(want)-1])
	require.NoError(t, err)
	require.Empty(t, last)
	claim(t, ctx, c, 6) // want[5] among them
	page, err := c.Queued(ctx, 2, want[5])
	require.NoError(t, err)
	require.Equal(t, want[6:8], ids(page))

	_, err = c.Queued(ctx, 2, "missing")
	require.ErrorIs(t, err, orchestrator.ErrTaskNotFound)
	_, err = c.Queued(as(t, "globex"), 2, want[0])
	require.ErrorIs(t, err, orchestrator.ErrTaskNotFound)
	_, err = c.Queued(ctx, 2, "\x00")
	require.ErrorIs(t, err, modules.ErrInvalid)
	first, err := c.Queued(ctx, 1, "")
	require.NoError(t, err)
	require.Equal(t, want[6:7], ids(first), "from the beginning")
}
