package agentregistry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/testkit"
)

func TestConcurrentPerformanceLosesNothing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada"))
	const n = 50
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for i := range n {
		wg.Go(func() {
			_, err := c.RecordPerformance(ctx, "ada", agentregistry.Metrics{Success: i%2 == 0, QualityScore: 0.5, LatencyMS: int64(i)})
			errs <- err
		})
	}
	wg.Wait()
	for range n {
		require.NoError(t, <-errs)
	}
	got, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.EqualValues(t, n, got.Performance.TaskCount)
	require.InDelta(t, 0.5, got.Performance.SuccessRate, 1e-9)
	require.InDelta(t, 0.5, got.Performance.AverageQuality, 1e-9)
	require.InDelta(t, 24.5, got.Performance.AverageLatencyMS, 1e-9)
	var events int
	require.NoError(t, db.QueryRow(ctx, "select count(*) from registry.performance_events").Scan(&events))
	require.Equal(t, n, events)
}

func TestConcurrentLoadLosesNothing(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.MaxConcurrentTasks = 100 }))
	const n = 50
	var wg sync.WaitGroup
	errs := make(chan error, n)
	for range n {
		wg.Go(func() {
			_, err := c.AdjustLoad(ctx, "ada", 1, 2)
			errs <- err
		})
	}
	wg.Wait()
	for range n {
		require.NoError(t, <-errs)
	}
	got, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, agentregistry.Load{ActiveTasks: n, QueuedTasks: 2 * n, UtilizationPercent: n}, got.Load)
}

// Every writer takes an agent's own row before the rows that belong to it, so
// that they wait for each other instead of ending in a deadlock.
func TestWritersOfOneAgentDoNotDeadlock(t *testing.T) {
	t.Parallel()
	c, _ := newClient(t)
	ctx := as(t, "acme")
	writers := map[string]func(id string, i int) error{
		"record": func(id string, _ int) error {
			_, err := c.RecordPerformance(ctx, id, agentregistry.Metrics{Success: true})
			return err
		},
		"adjust": func(id string, i int) error { _, err := c.AdjustLoad(ctx, id, 1-i%3, 0); return err },
		"update": func(id string, i int) error {
			return c.Update(ctx, id, agentregistry.Patch{
				MaxConcurrentTasks: ptr(i%7 + 1), LastActiveAt: ptr(time.Now().Add(-time.Hour)),
				Capabilities: &agentregistry.Capabilities{Languages: []string{fmt.Sprintf("language %d", i%4)}},
			})
		},
		"unregister": func(id string, _ int) error { _, err := c.Unregister(ctx, id); return err },
		"stale":      func(string, int) error { _, err := c.DeleteStale(ctx, time.Millisecond); return err },
		"register":   func(id string, _ int) error { return c.Register(ctx, agent(id)) },
	}
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	for name, write := range writers {
		wg.Go(func() {
			for i := range 60 {
				err := write([]string{"ada", "bob"}[i%2], i)
				if err != nil && !errors.Is(err, agentregistry.ErrAgentNotFound) && !errors.Is(err, agentregistry.ErrAgentExists) {
					errs <- fmt.Errorf("%s: %w", name, err)
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
}

// while runs use against changes that another transaction holds back until use
// waits for them.
func while(t *testing.T, ctx context.Context, db *fxdb.DB, changes []string, use func() error) {
	t.Helper()
	owner := testkit.OwnerPool(t, db)
	result := make(chan error, 1)
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for _, sql := range changes {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		go func() { result <- use() }()
		require.Eventually(t, func() bool {
			var waits bool
			err := owner.QueryRow(ctx, `
				select exists (select from pg_locks l join pg_stat_activity a using (pid) where not l.granted and a.datname = current_database())`).Scan(&waits)
			return err == nil && waits
		}, 10*time.Second, 5*time.Millisecond, "nobody waits for the changes")
		return nil
	}))
	require.NoError(t, <-result)
}

func TestUpdateReplacesWhatAnotherUpdateJustWrote(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.Capabilities.Languages = []string{"Go"} }))
	while(t, ctx, db, []string{
		"update registry.agents set name = 'Ada'",
		"delete from registry.agent_capabilities",
		"insert into registry.agent_capabilities (agent_id, kind, value) values ('ada', 'language', 'Rust')",
	}, func() error {
		return c.Update(ctx, "ada", agentregistry.Patch{Capabilities: &agentregistry.Capabilities{Languages: []string{"Python"}}})
	})
	got, err := c.Get(ctx, "ada")
	require.NoError(t, err)
	require.Equal(t, "Ada", got.Name)
	require.Equal(t, []string{"Python"}, got.Capabilities.Languages)
}

func TestAdjustLoadUsesTheCapacityThatAnUpdateJustWrote(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.Load.ActiveTasks = 4 }))
	while(t, ctx, db, []string{
		"update registry.agents set max_concurrent_tasks = 20",
		"update registry.agent_load set utilization_percent = 20",
	}, func() error {
		l, err := c.AdjustLoad(ctx, "ada", 1, 0)
		if err == nil && l != (agentregistry.Load{ActiveTasks: 5, UtilizationPercent: 25}) {
			err = fmt.Errorf("load is %+v", l)
		}
		return err
	})
}

func TestDeleteStaleSparesAnAgentThatJustGotWork(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][]string{
		"a task":            {"select from registry.agents for no key update", "update registry.agent_load set active_tasks = 1"},
		"a sign of life":    {"update registry.agents set last_active_at = now()"},
		"a task, load only": {"update registry.agent_load set queued_tasks = 1"},
	} {
		c, db := newClient(t)
		ctx := as(t, "acme")
		register(t, ctx, c, agent("ada", func(a *agentregistry.Agent) { a.LastActiveAt = time.Now().Add(-time.Hour) }))
		while(t, ctx, db, change, func() error {
			n, err := c.DeleteStale(ctx, time.Minute)
			if err == nil && n != 0 {
				err = fmt.Errorf("%d deleted", n)
			}
			return err
		})
		_, err := c.Get(ctx, "ada")
		require.NoError(t, err, name)
	}
}

func TestUpdateOfAMissingAgentWritesNothing(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	err := c.Update(ctx, "x", agentregistry.Patch{MaxConcurrentTasks: ptr(3), Capabilities: &agentregistry.Capabilities{Languages: []string{"Go"}}})
	require.ErrorIs(t, err, modules.ErrNotFound)
	for _, table := range schema.Of(t, db) {
		var n int
		require.NoError(t, db.QueryRow(ctx, "select count(*) from "+table).Scan(&n))
		require.Zero(t, n, table)
	}
}
