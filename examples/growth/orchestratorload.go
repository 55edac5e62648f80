package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/agentagency/onepool/modules/orchestrator"
)

// loadLength returns the length of a load of n rows.
func loadLength(n int) time.Duration {
	if n < 100_000 { // a test's size
		return 100 * time.Millisecond
	}
	return 5 * time.Second
}

// The calls may have cancelled the queue: the first load fills the queue again.
func (q *queue) loads(w *world, n int, snapshot time.Duration) []load {
	loadFor := loadLength(n)
	return []load{
		{"Enqueue by 16 workers", func(ctx context.Context) (float64, error) {
			if err := q.fill(ctx, n*3/10); err != nil {
				return 0, err
			}
			var made atomic.Int64
			return together(ctx, 16, loadFor, func(ctx context.Context) (int, error) {
				id := fmt.Sprint("load", made.Add(1))
				return 1, q.c.Enqueue(ctx, orchestrator.Task{ID: id, Type: orchestrator.General, Description: "load", Timeout: time.Hour})
			})
		}},
		{"Claim: 1 and Complete by 4 workers", func(ctx context.Context) (float64, error) { return together(ctx, 4, loadFor, q.work) }},
		{"the same, a snapshot of " + snapshot.String() + " elsewhere", func(ctx context.Context) (rate float64, err error) {
			tx, err := w.admin.Begin(ctx)
			if err != nil {
				return 0, err
			}
			defer func() { err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))) }()
			if _, err := tx.Exec(ctx, "set transaction isolation level repeatable read"); err != nil {
				return 0, err
			}
			if _, err := tx.Exec(ctx, "select count(*) from orchestrator.queue_config"); err != nil {
				return 0, err
			}
			if _, err := together(ctx, 4, snapshot, q.work); err != nil {
				return 0, err
			}
			return together(ctx, 4, loadFor, q.work)
		}},
		{"Claim: 1 by 4 workers, beside overdue claims", func(ctx context.Context) (float64, error) {
			if _, err := w.admin.Exec(ctx, `update orchestrator.tasks set status = 'dequeued', attempts = 1, dequeued_at = now(), deadline = now() - interval '1 second'
				where tenant_id = $1 and id in (select id from orchestrator.tasks where tenant_id = $1 and status = 'queued' limit $2)`, largeTenant, n*6/100); err != nil {
				return 0, err
			}
			return together(ctx, 4, loadFor, func(ctx context.Context) (int, error) {
				tasks, err := q.c.Claim(ctx, 1, "growth")
				return len(tasks), err
			})
		}},
	}
}

// fill enqueues tasks until n tasks are queued.
func (q *queue) fill(ctx context.Context, n int) error {
	s, err := q.c.Stats(ctx)
	if err != nil {
		return err
	}
	for n -= int(s.Depth); n > 0; {
		batch := min(n, 5000)
		if err := q.refill(batch)(ctx, 0); err != nil {
			return err
		}
		n -= batch
	}
	return nil
}

// work is a worker's cycle. An empty queue counts as no work.
func (q *queue) work(ctx context.Context) (int, error) {
	tasks, err := q.c.Claim(ctx, 1, "growth")
	if err != nil || len(tasks) == 0 {
		return 0, err
	}
	return 1, q.c.Complete(ctx, tasks[0].ID, orchestrator.Held(tasks[0]))
}

// together runs work in workers for a time, and returns the sum of the work for a second.
func together(ctx context.Context, workers int, length time.Duration, work func(context.Context) (int, error)) (float64, error) {
	var done atomic.Int64
	errs := make([]error, workers)
	began := time.Now()
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			for time.Since(began) < length && errs[i] == nil {
				var n int
				n, errs[i] = work(ctx)
				done.Add(int64(n))
			}
		})
	}
	wg.Wait()
	return float64(done.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}
