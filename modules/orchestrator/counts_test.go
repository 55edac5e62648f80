package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/testkit"
)

// requireCounts fails unless Stats are the figures of the tasks themselves.
func requireCounts(t testing.TB, ctx context.Context, c *orchestrator.Client, db *fxdb.DB) {
	t.Helper()
	want := orchestrator.QueueStats{ByPriority: map[int]int64{}, ByStatus: map[string]int64{}}
	var wait, processing float64
	scan(t, ctx, db, `select count(*) filter (where status = 'queued'), count(*), count(dequeued_at), count(*) filter (where status = 'completed'),
		count(*) filter (where status = 'failed'), count(*) filter (where status = 'cancelled'),
		coalesce(avg(greatest(0, extract(epoch from dequeued_at - created_at))) filter (where dequeued_at is not null), 0)::float8,
		coalesce(avg(greatest(0, extract(epoch from completed_at - dequeued_at))) filter (where dequeued_at is not null and status in ('completed', 'failed')), 0)::float8,
		coalesce((select jsonb_object_agg(priority, n) from (select priority, count(*) as n from orchestrator.tasks where status = 'queued' group by 1) p), '{}'),
		coalesce((select jsonb_object_agg(status, n) from (select status, count(*) as n from orchestrator.tasks group by 1) s), '{}')
		from orchestrator.tasks`,
		&want.Depth, &want.Enqueued, &want.Dequeued, &want.Completed, &want.Failed, &want.Cancelled, &wait, &processing, &want.ByPriority, &want.ByStatus)
	got, err := c.Stats(ctx)
	require.NoError(t, err)
	require.InDelta(t, wait, got.AvgWait.Seconds(), 1e-5)
	require.InDelta(t, processing, got.AvgProcessing.Seconds(), 1e-5)
	got.AvgWait, got.MaxWait, got.AvgProcessing = 0, 0, 0
	require.Equal(t, want, got)
}

func TestCountsStayExactUnderConcurrentCalls(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	enqueue(t, as(t, "globex"), c, "theirs")
	requireAll(t, together(16, func(w int) error {
		for i := range 12 {
			id := fmt.Sprint(w, "-", i)
			if err := c.Enqueue(ctx, task(id, func(t *orchestrator.Task) { t.Priority, t.MaxAttempts = 1+i%10, 100 })); err != nil {
				return err
			}
			if err := c.Enqueue(ctx, task(id, func(t *orchestrator.Task) { t.Priority, t.MaxAttempts = 1+w%10, 100 })); err != nil && !errors.Is(err, orchestrator.ErrStatus) {
				return err
			}
			tasks, err := c.Claim(ctx, 1+i%3, "worker")
			if err != nil {
				return err
			}
			for n, got := range tasks {
				switch (i + n) % 4 {
				case 0:
					err = c.Complete(ctx, got.ID, orchestrator.Held(got))
				case 1:
					_, err = c.Fail(ctx, got.ID, "why", true, orchestrator.Held(got))
				case 2:
					_, err = c.Fail(ctx, got.ID, "why", false, orchestrator.Held(got))
				}
				if err != nil {
					return err
				}
			}
			if _, err := db.Exec(ctx, "select orchestrator.fold_task_counts()"); err != nil {
				return err
			}
		}
		return nil
	}))
	requireCounts(t, ctx, c, db)
	expire(t, ctx, db)
	_, err := c.Claim(ctx, 1, "worker")
	require.NoError(t, err)
	_, err = c.CancelQueued(ctx)
	require.NoError(t, err)
	exec(t, ctx, db, "update orchestrator.tasks set completed_at = now() - interval '1 day' where status = 'failed'")
	_, err = c.DeleteFinished(ctx, time.Hour)
	require.NoError(t, err)
	requireCounts(t, ctx, c, db)
	exec(t, ctx, db, "update orchestrator.task_counts set tasks = 77")
	clienttest.Recount(t, db, "orchestrator", "acme")
	requireCounts(t, ctx, c, db)
	requireCounts(t, as(t, "globex"), c, db)
}

// What a transaction has not committed is not counted, and keeps no other writer waiting.
func TestALongTransactionStopsNoClaim(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx, cancel := context.WithTimeout(as(t, "acme"), time.Minute)
	defer cancel()
	held(t, ctx, c, "1", "2")
	enqueue(t, ctx, c, "3", "4")
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for _, sql := range []string{"update orchestrator.tasks set status = 'completed' where id = '1'", "select orchestrator.fold_task_counts()"} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		outside := as(t, "acme")
		claim(t, outside, c, 1)
		require.NoError(t, c.Complete(outside, "2"))
		enqueue(t, outside, c, "5")
		_, err := db.Exec(outside, "select orchestrator.fold_task_counts()")
		require.NoError(t, err)
		requireCounts(t, outside, c, db)
		return nil
	}))
	requireCounts(t, ctx, c, db)
}

// A fold in a transaction of a stricter isolation would fail for a row that another fold deleted.
func TestFoldsLeaveStricterTransactionsAlone(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	enqueue(t, ctx, c, "1", "2")
	var before, after int
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "select count(*) from orchestrator.task_counts").Scan(&before); err != nil {
			return err
		}
		exec(t, as(t, "acme"), db, "select orchestrator.fold_task_counts()")
		_, err := tx.Exec(ctx, "select orchestrator.fold_task_counts()")
		return err
	}))
	scan(t, ctx, db, "select count(*) from orchestrator.task_counts", &after)
	require.Greater(t, before, 1)
	require.Equal(t, 1, after)
}

func TestTheMigrationCountsWhatIsThere(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const first = "migrations/00001_orchestrator.sql"
	raw, err := fs.ReadFile(orchestrator.Migrations(), first)
	require.NoError(t, err)
	db := testkit.DB(t, testkit.Migrations("orchestrator", fstest.MapFS{first: {Data: raw}}))
	for _, tenant := range []string{"acme", "globex"} {
		exec(t, as(t, tenant), db, `
			insert into orchestrator.tasks (id, task_type, description, priority, status, created_at, deadline, dequeued_at, completed_at)
			select g::text, 'general', '', 1 + g % 10, (array['queued', 'dequeued', 'completed'])[1 + g % 3], now() - interval '1 hour', now(),
			       case when g % 3 > 0 then now() - interval '1 minute' end, case when g % 3 = 2 then now() end
			from generate_series(1, 100 + length(current_setting('app.current_tenant'))) g`)
	}
	sources, err := migrate.Check([]migrate.Source{{Name: "orchestrator", FS: orchestrator.Migrations()}})
	require.NoError(t, err)
	require.NoError(t, migrate.Up(t.Context(), testkit.OwnerPool(t, db).Config().ConnConfig, zap.NewNop(), sources))
	c, err := orchestrator.New(orchestrator.Params{DB: db.Named("orchestrator", fxdb.RequireTenant())})
	require.NoError(t, err)
	for _, tenant := range []string{"acme", "globex"} {
		requireCounts(t, as(t, tenant), c, db)
	}
	schema.IsForced(t, db)
}
