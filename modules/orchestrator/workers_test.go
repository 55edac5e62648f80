package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
)

const (
	workers   = 200
	toBeDone  = 1000
	perWorker = 3 // tasks of one claim
)

func enqueueWork(t *testing.T, ctx context.Context, c *orchestrator.Client) {
	t.Helper()
	tasks := make([]orchestrator.Task, toBeDone)
	for i := range tasks {
		tasks[i] = task(fmt.Sprint(i), func(t *orchestrator.Task) { t.Priority, t.MaxAttempts = 1+i%10, 50 })
	}
	require.NoError(t, c.EnqueueAll(ctx, tasks))
}

// runs counts how often each task was run.
type runs struct {
	mu    sync.Mutex
	count map[string]int
}

func (r *runs) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == nil {
		r.count = map[string]int{}
	}
	r.count[id]++
}

func (r *runs) requireOnce(t *testing.T, n int) {
	t.Helper()
	require.Len(t, r.count, n)
	for id, times := range r.count {
		require.Equal(t, 1, times, "task %s", id)
	}
}

func TestTwoHundredWorkersNeverRunATaskTwice(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	c, db := newClient(t)
	ctx := as(t, "acme")
	enqueueWork(t, ctx, c)
	var claimed, completed runs
	requireAll(t, together(workers, func(i int) error {
		for {
			tasks, err := c.Claim(ctx, perWorker, fmt.Sprint("worker ", i))
			if err != nil || len(tasks) == 0 {
				return err
			}
			for _, got := range tasks {
				claimed.add(got.ID)
				if err := c.Complete(ctx, got.ID, orchestrator.Held(got)); err != nil {
					return err
				}
				completed.add(got.ID)
			}
		}
	}))
	claimed.requireOnce(t, toBeDone)
	completed.requireOnce(t, toBeDone)
	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, toBeDone, s.Completed)
	var most int
	scan(t, ctx, db, "select max(attempts) from orchestrator.tasks", &most)
	require.Equal(t, 1, most)
}

// A third of the workers die with tasks in hand. These are run by others, and
// nothing is completed twice, not even when the dead come back.
func TestTasksSurviveTheDeathOfTheirWorkers(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	c, db := newClient(t)
	ctx := as(t, "acme")
	enqueueWork(t, ctx, c)
	var completed runs
	var mu sync.Mutex
	var lost []orchestrator.Task
	work := func(mortal bool) func(int) error {
		return func(i int) error {
			for {
				tasks, err := c.Claim(ctx, perWorker, fmt.Sprint("worker ", i))
				if err != nil || len(tasks) == 0 {
					return err
				}
				if mortal && i%3 == 0 {
					mu.Lock()
					lost = append(lost, tasks...)
					mu.Unlock()
					return nil
				}
				for _, got := range tasks {
					if err := c.Complete(ctx, got.ID, orchestrator.Held(got)); err != nil {
						return err
					}
					completed.add(got.ID)
				}
			}
		}
	}
	requireAll(t, together(workers, work(true)))
	require.NotEmpty(t, lost)
	require.Len(t, completed.count, toBeDone-len(lost))
	claim(t, ctx, c, 0) // the claims of the dead last until their end

	expire(t, ctx, db)
	// The living and the dead at once.
	var late []error
	requireAll(t, together(workers, func(i int) error {
		if i == 0 {
			for _, old := range lost {
				err := c.Complete(ctx, old.ID, orchestrator.Held(old))
				late = append(late, err)
				if err == nil {
					completed.add(old.ID) // before anybody had taken it back
				}
			}
			return nil
		}
		return work(false)(i)
	}))
	for _, err := range late {
		if err != nil {
			require.ErrorIs(t, err, orchestrator.ErrNotHeld)
		}
	}
	completed.requireOnce(t, toBeDone)
	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, toBeDone, s.Completed)
	require.Zero(t, s.Depth)
}

// Connections are cut while two hundred workers claim and complete. A claim is
// all or nothing, and what a worker does not know about comes back in time.
func TestTasksSurviveLostConnections(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "fxdb's TestAConnectionLostBeforeTheStatementIsMadeUpForAlways")
	c, db := newClient(t)
	ctx := as(t, "acme")
	enqueueWork(t, ctx, c)
	// The role may end its own connections.
	killer, err := pgx.ConnectConfig(t.Context(), db.Pool().Config().ConnConfig)
	require.NoError(t, err)
	defer killer.Close(context.Background())
	stop, cut := make(chan struct{}), make(chan error, 1)
	var killed atomic.Int64
	go func() {
		for killed.Load() < 50 {
			select {
			case <-stop:
				cut <- nil
				return
			case <-time.After(5 * time.Millisecond):
			}
			tag, err := killer.Exec(t.Context(), `select pg_terminate_backend(pid) from pg_stat_activity
				where datname = current_database() and usename = current_user and pid <> pg_backend_pid() and state <> 'idle' limit 1`)
			if err != nil {
				cut <- err
				return
			}
			killed.Add(tag.RowsAffected())
		}
		cut <- nil
	}()
	var completed runs
	var failures atomic.Int64
	// gone lets pass what a lost connection looks like.
	gone := func(err error) bool {
		failures.Add(1)
		return errors.Is(err, modules.ErrUnavailable) || errors.Is(err, fxdb.ErrAcquireTimeout)
	}
	work := func(i int) error {
		for {
			tasks, err := c.Claim(ctx, perWorker, fmt.Sprint("worker ", i))
			switch {
			case err != nil && !gone(err):
				return err
			case err != nil:
				continue
			case len(tasks) == 0:
				return nil
			}
			for _, got := range tasks {
				err := c.Complete(ctx, got.ID, orchestrator.Held(got))
				if err != nil && !gone(err) {
					return err
				}
				if err == nil {
					completed.add(got.ID)
				}
			}
		}
	}
	requireAll(t, together(workers, work))
	close(stop)
	require.NoError(t, <-cut)
	t.Logf("%d connections were cut, %d calls failed", killed.Load(), failures.Load())
	require.Positive(t, killed.Load())

	// A completion whose answer was lost may have been made: the queue knows.
	expire(t, ctx, db)
	requireAll(t, together(workers, work))
	for id, times := range completed.count {
		require.Equal(t, 1, times, "task %s", id)
	}
	s, err := c.Stats(ctx)
	require.NoError(t, err)
	require.EqualValues(t, toBeDone, s.Completed)
	require.EqualValues(t, toBeDone, s.Enqueued)
	require.GreaterOrEqual(t, int64(len(completed.count))+failures.Load(), int64(toBeDone))
}
