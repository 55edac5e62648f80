package orchestrator_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/testkit"
)

// busy makes the client claim from the tenant's position: the client has claimed many tasks.
func busy(t testing.TB, ctx context.Context, c *orchestrator.Client, db *fxdb.DB) {
	t.Helper()
	exec(t, ctx, db, `insert into orchestrator.tasks (id, task_type, description, priority, max_attempts, deadline)
		select 'busy' || g, 'general', '', 10, 100, now() from generate_series(1, 1000) g`)
	got, err := c.Claim(ctx, 1000, "w")
	require.NoError(t, err)
	require.Equal(t, 1000, len(got)) //nolint:testifylint // Len would print them all
	require.Equal(t, "busy1", got[0].ID)
}

// After any calls of the client a claim from the position gives out the task that is first in the
// whole queue.
func TestClaimsOfABusyTenantKeepTheOrder(t *testing.T) {
	t.Parallel()
	for mode, order := range map[orchestrator.QueueMode]string{
		orchestrator.ModePriority: "priority desc, seq", orchestrator.ModeFIFO: "seq", orchestrator.ModeDeadline: "deadline, seq",
	} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			c, db := newClient(t)
			ctx := as(t, "acme")
			require.NoError(t, c.SetConfig(t.Context(), orchestrator.PriorityMode, mode, nil, ""))
			busy(t, ctx, c, db)
			random := rand.New(rand.NewPCG(1, uint64(len(mode))))
			var claimed []orchestrator.Task
			for i := range 150 {
				switch at := random.IntN(6); {
				case at < 2 || len(claimed) == 0:
					require.NoError(t, c.Enqueue(ctx, task(fmt.Sprint(i), func(t *orchestrator.Task) { t.Priority, t.MaxAttempts = 1+random.IntN(10), 100 })))
				case at == 2:
					_, err := c.Retry(ctx, claimed[0].ID)
					require.NoError(t, err)
					claimed = claimed[1:]
				case at == 3: // a queued task gets a new priority
					queued, err := c.Queued(ctx, 0)
					require.NoError(t, err)
					if len(queued) > 0 {
						moved := queued[random.IntN(len(queued))]
						require.NoError(t, c.Enqueue(ctx, task(moved.ID, func(t *orchestrator.Task) { t.Priority, t.MaxAttempts = 1+random.IntN(10), 100 })))
					}
				case at == 4: // a worker dies
					exec(t, ctx, db, "update orchestrator.tasks set deadline = now() - interval '1 second' where id = '"+claimed[0].ID+"'")
					claimed = claimed[1:]
					_, err := c.Claim(ctx, 1, "w") // takes back; which task the claim gives out, the next steps show
					require.NoError(t, err)
				}
				rows, err := db.Query(ctx, "select id from orchestrator.tasks where status = 'queued' order by "+order+" limit 2")
				require.NoError(t, err)
				want, err := pgx.CollectRows(rows, pgx.RowTo[string])
				require.NoError(t, err)
				got, err := c.Claim(ctx, 2, "w")
				require.NoError(t, err)
				if len(want) == 0 || len(got) == 0 {
					require.Len(t, got, len(want))
					continue
				}
				require.Equal(t, want[:len(got)], ids(got), "step %d", i)
				claimed = append(claimed, got...)
			}
		})
	}
}

var errGiveBack = errors.New("give back")

// Tasks that a rollback gives back, of a different client too, are given out.
func TestClaimsOfABusyTenantFindWhatARollbackGaveBack(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	busy(t, ctx, c, db)
	enqueue(t, ctx, c, "1", "2", "3", "4")
	joined := func(tx pgx.Tx) context.Context { return modules.Join(ctx, tx) }
	err := db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		got, err := c.Claim(joined(tx), 1, "w")
		require.NoError(t, err)
		require.Equal(t, []string{"1"}, ids(got))
		got, err = c.Claim(ctx, 1, "w") // skips what the transaction holds
		require.NoError(t, err)
		require.Equal(t, []string{"2"}, ids(got))
		return errGiveBack
	})
	require.ErrorIs(t, err, errGiveBack)
	left := map[string]bool{"1": true, "3": true, "4": true}
	require.Eventually(t, func() bool {
		got, err := c.Claim(ctx, 1, "w")
		require.NoError(t, err)
		for _, task := range got {
			delete(left, task.ID)
		}
		return len(left) == 0
	}, time.Minute, 10*time.Millisecond, "not given out: %v", left)
}

func TestAClaimFromAPositionReadsFewTasks(t *testing.T) {
	t.Parallel()
	c, db := newClient(t)
	ctx := as(t, "acme")
	exec(t, ctx, db, `insert into orchestrator.tasks (id, task_type, description, priority, deadline, status, attempts)
		select g::text, 'general', '', 1 + g % 10, now(), case when g % 2 = 0 then 'queued' else 'cancelled' end, g % 2 from generate_series(1, 6000) g`)
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "analyze orchestrator.tasks")
	require.NoError(t, err)
	filtered := regexp.MustCompile(`Rows Removed by (?:Join )?Filter: \d{3,}`)
	for _, mode := range []orchestrator.QueueMode{orchestrator.ModePriority, orchestrator.ModeFIFO} {
		require.NoError(t, c.SetConfig(t.Context(), orchestrator.PriorityMode, mode, nil, ""))
		rows, err := db.Query(ctx, "explain (analyze, costs off) "+orchestrator.ClaimBehindSQL, pgx.NamedArgs{
			"floors": make([]int64, 10), "fifo": 0, "n": 1, "worker": "w", "bytes": modules.PageBytes, "swept": time.Time{},
		})
		require.NoError(t, err)
		plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		text := strings.Join(plan, "\n")
		require.Contains(t, text, "Update on tasks")
		require.NotRegexp(t, filtered, text, mode)
	}
}
