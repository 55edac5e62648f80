package orchestrator_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/orchestrator"
)

func TestEnqueueKeepsAllOfTheTask(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	want := orchestrator.Task{
		ID: "t", Type: orchestrator.CodeReview, Description: "look", Priority: 10, Timeout: 90 * time.Second, Attempts: 1, MaxAttempts: 7,
		Budget:               orchestrator.Budget{MaxFiles: 3, MaxLOC: 200},
		RequiredCapabilities: map[string]any{"language": "Go"}, Metadata: map[string]any{"n": 1.0},
	}
	require.NoError(t, c.Enqueue(ctx, want))
	got := get(t, ctx, c, "t")
	require.WithinDuration(t, time.Now(), got.CreatedAt, time.Minute)
	require.Equal(t, 90*time.Second, got.Deadline.Sub(got.CreatedAt))
	want.Status, want.CreatedAt, want.Deadline = orchestrator.TaskQueued, got.CreatedAt, got.Deadline
	require.Equal(t, want, got)
	require.Nil(t, got.DequeuedAt)
	require.Nil(t, got.CompletedAt)
	require.Nil(t, got.ClaimedBy)
	require.Nil(t, got.LastError)
}

func TestEnqueueFillsInDefaults(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	bare := orchestrator.Task{ID: "t", Type: orchestrator.General}
	require.NoError(t, c.Enqueue(ctx, bare))
	got := get(t, ctx, c, "t")
	require.Equal(t, 1, got.Priority)
	require.Equal(t, 30*time.Second, got.Timeout)
	require.Equal(t, 3, got.MaxAttempts)
	require.Zero(t, got.Attempts)
	require.Equal(t, orchestrator.Budget{MaxFiles: 40, MaxLOC: 1500}, got.Budget)
	require.Equal(t, orchestrator.Budget{MaxFiles: orchestrator.DefaultMaxFiles, MaxLOC: orchestrator.DefaultMaxLOC}, got.Budget)
	require.Equal(t, map[string]any{}, got.RequiredCapabilities)
	require.Equal(t, map[string]any{}, got.Metadata)

	// The settings are the defaults.
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.DefaultTimeoutMS, 1500, nil, ""))
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.MaxRetries, 9, nil, ""))
	bare.ID = "t2"
	require.NoError(t, c.Enqueue(ctx, bare))
	got = get(t, ctx, c, "t2")
	require.Equal(t, 1500*time.Millisecond, got.Timeout)
	require.Equal(t, 9, got.MaxAttempts)

	// Without the rows there are defaults all the same.
	exec(t, t.Context(), db, "delete from orchestrator.queue_config")
	bare.ID = "t3"
	require.NoError(t, c.Enqueue(ctx, bare))
	got = get(t, ctx, c, "t3")
	require.Equal(t, 30*time.Second, got.Timeout)
	require.Equal(t, 3, got.MaxAttempts)
	many := make([]orchestrator.Task, 998)
	for i := range many {
		many[i] = task(fmt.Sprint("many ", i))
	}
	require.ErrorIs(t, c.EnqueueAll(ctx, many), orchestrator.ErrQueueFull, "3 and 998 are more than 1000")
	require.NoError(t, c.EnqueueAll(ctx, many[1:]))
}

// A task that is still queued is refreshed in what may change, and keeps its place.
func TestEnqueueAgainRefreshesAQueuedTask(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	enqueue(t, ctx, c, "first", "second")
	before := get(t, ctx, c, "first")
	changed := orchestrator.Task{
		ID: "first", Type: orchestrator.Research, Description: "something else", Priority: 1, Timeout: 5 * time.Second, Attempts: 2, MaxAttempts: 4,
		Budget:               orchestrator.Budget{MaxFiles: 1, MaxLOC: 2},
		RequiredCapabilities: map[string]any{"a": "b"}, Metadata: map[string]any{"c": "d"},
	}
	require.NoError(t, c.Enqueue(ctx, changed))
	got := get(t, ctx, c, "first")
	want := changed
	want.Status, want.CreatedAt, want.Deadline = orchestrator.TaskQueued, before.CreatedAt, before.CreatedAt.Add(5*time.Second)
	require.Equal(t, want, got)
	queued, err := c.Queued(ctx, 0)
	require.NoError(t, err)
	require.Equal(t, []string{"first", "second"}, ids(queued))
}

func TestEnqueueDoesNotTouchATaskThatWasClaimed(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	held(t, ctx, c, "dequeued", "completed", "failed")
	require.NoError(t, c.Complete(ctx, "completed"))
	_, err := c.Fail(ctx, "failed", "why", false)
	require.NoError(t, err)
	enqueue(t, ctx, c, "cancelled")
	_, err = c.CancelQueued(ctx)
	require.NoError(t, err)
	for _, status := range []string{"dequeued", "completed", "failed", "cancelled"} {
		before := get(t, ctx, c, status)
		err := c.Enqueue(ctx, task(status, func(t *orchestrator.Task) { t.Priority = 9 }))
		require.ErrorIs(t, err, orchestrator.ErrStatus, status)
		require.ErrorIs(t, err, modules.ErrConflict, status)
		require.ErrorContains(t, err, "orchestrator: enqueue: task is "+status)
		require.Equal(t, before, get(t, ctx, c, status))
		// And none of those that come with it is added.
		require.ErrorIs(t, c.EnqueueAll(ctx, []orchestrator.Task{task("new"), task(status)}), orchestrator.ErrStatus)
	}
	queued, err := c.Queued(ctx, 0)
	require.NoError(t, err)
	require.Empty(t, queued)
}

func TestEnqueueIsForEachTenant(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	held(t, as(t, "acme"), c, "t")
	enqueue(t, as(t, "globex"), c, "t")
	require.Equal(t, orchestrator.TaskQueued, get(t, as(t, "globex"), c, "t").Status)
	require.Equal(t, orchestrator.TaskDequeued, get(t, as(t, "acme"), c, "t").Status)
}

func TestTheQueueHasACapacity(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.MaxCapacity, 3, nil, ""))
	enqueue(t, ctx, c, "1", "2")
	require.ErrorIs(t, c.EnqueueAll(ctx, []orchestrator.Task{task("3"), task("4")}), orchestrator.ErrQueueFull)
	require.NoError(t, c.EnqueueAll(ctx, []orchestrator.Task{task("3"), task("2")}), "one that is there takes no room")
	err := c.Enqueue(ctx, task("4"))
	require.ErrorIs(t, err, orchestrator.ErrQueueFull)
	require.NotErrorIs(t, err, modules.ErrConflict)
	require.NoError(t, c.Enqueue(ctx, task("1", func(t *orchestrator.Task) { t.Priority = 5 })), "a full queue can be changed")
	enqueue(t, as(t, "globex"), c, "1", "2", "3") // the capacity of one is not another's
	claim(t, ctx, c, 1)
	enqueue(t, ctx, c, "4")
	require.ErrorIs(t, c.Enqueue(ctx, task("5")), orchestrator.ErrQueueFull)

	// Less than what is there refuses new ones only.
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.MaxCapacity, 1, nil, ""))
	require.ErrorIs(t, c.Enqueue(ctx, task("5")), orchestrator.ErrQueueFull)
	require.NoError(t, c.Enqueue(ctx, task("4", func(t *orchestrator.Task) { t.Priority = 7 })))
	require.Equal(t, 7, get(t, ctx, c, "4").Priority)
}

// However many enqueue at once, together they don't exceed the capacity.
func TestConcurrentEnqueuesKeepToTheCapacity(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.MaxCapacity, 10, nil, ""))
	added := 0
	for _, err := range together(40, func(i int) error { return c.Enqueue(ctx, task(fmt.Sprint(i))) }) {
		if err == nil {
			added++
			continue
		}
		require.ErrorIs(t, err, orchestrator.ErrQueueFull)
	}
	require.Equal(t, 10, added)
	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, 10, s.Depth)
}

// sharedLockSQL is the lock of a concurrent enqueue far from the capacity.
const sharedLockSQL = "select pg_advisory_xact_lock_shared(hashtextextended('orchestrator.tasks acme', 0))"

// roomyClient returns a client that takes the tenant's queue for far from its capacity, another
// client of the queue, and the queue's capacity.
func roomyClient(t *testing.T, ctx context.Context) (c, other *orchestrator.Client, db *fxdb.DB, capacity int) {
	t.Helper()
	c, db = newClient(t)
	other, err := orchestrator.New(orchestrator.Params{DB: db})
	require.NoError(t, err)
	scan(t, ctx, db, "select 2 * current_setting('max_connections')::int + 100", &capacity)
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.MaxCapacity, capacity, nil, ""))
	enqueue(t, ctx, c, "first")
	return c, other, db, capacity
}

func TestEnqueuesFarFromTheCapacityDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	ctx := as(t, "acme")
	c, other, db, _ := roomyClient(t, ctx)
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sharedLockSQL); err != nil {
			return err
		}
		return c.Enqueue(ctx, task("beside"))
	}))
	require.NoError(t, while(t, ctx, db, func() error { return other.Enqueue(ctx, task("not known to be far")) }, sharedLockSQL))
	require.NoError(t, while(t, ctx, db, func() error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return c.Enqueue(modules.Join(ctx, tx), task("of a transaction")) })
	}, sharedLockSQL))
}

func TestEnqueuesKeepToACapacityThatHasComeNear(t *testing.T) {
	t.Parallel()
	ctx := as(t, "acme")
	c, other, db, capacity := roomyClient(t, ctx)
	tasks := make([]orchestrator.Task, capacity-2)
	for i := range tasks {
		tasks[i] = task(fmt.Sprintf("of the other client %d", i))
	}
	require.NoError(t, other.EnqueueAll(ctx, tasks))
	err := while(t, ctx, db, func() error { return c.Enqueue(ctx, task("too many")) }, sharedLockSQL,
		"insert into orchestrator.tasks (id, task_type, description, timeout_ms, max_attempts, deadline) values ('the last', 'general', '', 1000, 1, now())")
	require.ErrorIs(t, err, orchestrator.ErrQueueFull)
}

func TestAnEnqueueLeavesATaskThatWasAddedAndClaimedBeside(t *testing.T) {
	t.Parallel()
	ctx := as(t, "acme")
	c, _, db, _ := roomyClient(t, ctx)
	err := while(t, ctx, db, func() error { return c.Enqueue(ctx, task("t")) },
		"insert into orchestrator.tasks (id, task_type, description, timeout_ms, max_attempts, status, deadline) values ('t', 'general', 'claimed', 1000, 1, 'dequeued', now())")
	require.ErrorIs(t, err, orchestrator.ErrStatus)
	require.Equal(t, "claimed", get(t, ctx, c, "t").Description)
}

func TestEnqueueAllIsOneTransactionInOrder(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	require.NoError(t, c.SetConfig(t.Context(), orchestrator.MaxCapacity, 100_000, nil, ""))
	const n = 10_000
	tasks := make([]orchestrator.Task, n)
	for i := range tasks {
		tasks[i] = task(fmt.Sprintf("%d", n-i))
	}
	require.NoError(t, c.EnqueueAll(ctx, tasks))
	var writers, rows int
	scan(t, ctx, db, "select count(distinct xmin::text), count(*) from orchestrator.tasks", &writers, &rows)
	require.Equal(t, 1, writers)
	require.Equal(t, n, rows)
	queued, err := c.Queued(ctx, 3)
	require.NoError(t, err)
	require.Equal(t, []string{"10000", "9999", "9998"}, ids(queued))

	require.ErrorContains(t, c.EnqueueAll(ctx, append(tasks, task("x"))), "tasks must be from 1 to 10000")
	require.ErrorIs(t, c.EnqueueAll(ctx, nil), modules.ErrInvalid)
	require.ErrorContains(t, c.EnqueueAll(ctx, []orchestrator.Task{task("x"), task("x")}), "id must be there once")
}

// An enqueue that meets a claim of its task waits, and is judged by what became
// of it.
func TestEnqueueWaitsForAClaimOfItsTask(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	enqueue(t, ctx, c, "t")
	err := while(t, ctx, db, func() error { return c.Enqueue(ctx, task("t")) }, "update orchestrator.tasks set status = 'dequeued' where id = 't'")
	require.ErrorIs(t, err, orchestrator.ErrStatus)
	require.ErrorContains(t, err, "task is dequeued")
}

func TestEnqueueRefuses(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	for must, change := range map[string]func(*orchestrator.Task){
		"id must not be blank":                         func(t *orchestrator.Task) { t.ID = " " },
		"id must be at most 255 bytes":                 func(t *orchestrator.Task) { t.ID = strings.Repeat("x", 256) },
		"id must be text":                              func(t *orchestrator.Task) { t.ID = "a\x00" },
		"type must be one of [code-editing":            func(t *orchestrator.Task) { t.Type = "" },
		"description must be text":                     func(t *orchestrator.Task) { t.Description = "\xff" },
		"priority must be from 1 to 10":                func(t *orchestrator.Task) { t.Priority = 11 },
		"priority must be from 1":                      func(t *orchestrator.Task) { t.Priority = -1 },
		"timeout must be whole milliseconds":           func(t *orchestrator.Task) { t.Timeout = time.Millisecond - 1 },
		"timeout must be":                              func(t *orchestrator.Task) { t.Timeout = -time.Second },
		"attempts must be from 0":                      func(t *orchestrator.Task) { t.Attempts = -1 },
		"max_attempts must be from 0":                  func(t *orchestrator.Task) { t.MaxAttempts = math.MaxInt32 + 1 },
		"attempts must be less than max_attempts":      func(t *orchestrator.Task) { t.Attempts, t.MaxAttempts = 2, 2 },
		"attempts must be less than max_attempts (3)":  func(t *orchestrator.Task) { t.Attempts = 3 },
		"budget.max_files must be from 0":              func(t *orchestrator.Task) { t.Budget.MaxFiles = -1 },
		"budget.max_loc must be from 0":                func(t *orchestrator.Task) { t.Budget.MaxLOC = -1 },
		"required_capabilities must be what JSON":      func(t *orchestrator.Task) { t.RequiredCapabilities = map[string]any{"a": math.NaN()} },
		"metadata must not hold the NUL character":     func(t *orchestrator.Task) { t.Metadata = map[string]any{"a": "\x00"} },
		"metadata must be what JSON can hold":          func(t *orchestrator.Task) { t.Metadata = map[string]any{"a": func() {}} },
		"required_capabilities must not hold the NUL ": func(t *orchestrator.Task) { t.RequiredCapabilities = map[string]any{"a": "\x00"} },
	} {
		err := c.Enqueue(ctx, task("t", change))
		require.ErrorIs(t, err, modules.ErrInvalid, must)
		require.ErrorContains(t, err, strings.TrimSuffix(must, " (3)"))
		require.ErrorIs(t, c.EnqueueAll(ctx, []orchestrator.Task{task("fine"), task("t", change)}), modules.ErrInvalid)
	}
	var n int
	scan(t, ctx, db, "select count(*) from orchestrator.tasks", &n)
	require.Zero(t, n)

	// What is just within the bounds is taken.
	require.NoError(t, c.EnqueueAll(ctx, []orchestrator.Task{
		task(strings.Repeat("x", 255)), task("shortest", func(t *orchestrator.Task) { t.Timeout = time.Millisecond }),
		task("longest", func(t *orchestrator.Task) { t.Timeout = check.MaxDuration }),
		task("last attempt", func(t *orchestrator.Task) { t.Attempts, t.MaxAttempts = 2, 3 }),
		task("largest", func(t *orchestrator.Task) {
			t.MaxAttempts, t.Budget = math.MaxInt32, orchestrator.Budget{MaxFiles: math.MaxInt32, MaxLOC: math.MaxInt32}
		}),
	}))
	require.Equal(t, check.MaxDuration, get(t, ctx, c, "longest").Timeout)
}
