package agencytest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/testkit"
	"github.com/agentagency/onepool/testkit/agencytest"
)

// queue is what the tested program calls.
type queue interface {
	Enqueue(ctx context.Context, t orchestrator.Task) error
	Claim(ctx context.Context, n int, worker string) ([]orchestrator.Task, error)
}

// work is the tested program.
func work(ctx context.Context, q queue) (string, error) {
	if err := q.Enqueue(ctx, orchestrator.Task{ID: "t1", Type: orchestrator.General}); err != nil {
		return "", err
	}
	tasks, err := q.Claim(ctx, 1, "worker")
	if err != nil || len(tasks) == 0 {
		return "", err
	}
	return tasks[0].ID, nil
}

func ExampleNew() {
	test := func(t testing.TB) {
		clients := agencytest.New(t)
		fmt.Println(work(context.Background(), clients.Tasks))
		testkit.RequireCount(testkit.As(t, agencytest.Tenant), t, clients.DB, 1, "orchestrator.tasks")
	}
	run(test)
	// Output: t1 <nil>
}

func ExampleFaulty() {
	test := func(t testing.TB) {
		clients, network := agencytest.Faulty(t)
		network.Refuse()
		_, err := work(context.Background(), clients.Tasks)
		fmt.Println("unavailable:", errors.Is(err, modules.ErrUnavailable))
	}
	run(test)
	// Output: unavailable: true
}

// run runs a test outside of go test's own.
func run(test func(testing.TB)) {
	testing.Benchmark(func(b *testing.B) {
		if b.N == 1 {
			test(b)
		}
	})
}

func TestTheClientsShareADatabaseAndKeepTenantsApart(t *testing.T) {
	t.Parallel()
	c := agencytest.New(t)
	require.NoError(t, c.Agents.Register(t.Context(), agentregistry.Agent{ID: "ada", Name: "Ada", ModelFamily: "m"}))
	require.NoError(t, c.Agents.Register(testkit.As(t, "acme"), agentregistry.Agent{ID: "ada", Name: "Ada", ModelFamily: "m"}))
	testkit.RequireRows(testkit.As(t, agencytest.Tenant), t, c.DB, []string{"test"}, "select tenant_id from registry.agents")
	_, err := c.Web.CacheStats(t.Context())
	require.NoError(t, err)
	_, err = c.Knowledge.CacheStats(t.Context())
	require.NoError(t, err)
	_, err = c.Verification.Pending(t.Context(), 1)
	require.NoError(t, err)
}

// The rows' times come from statements: a test moves now(), and a claim ends.
func TestAClaimEndsWhenTheServersClockHasPassedIt(t *testing.T) {
	t.Parallel()
	c := agencytest.New(t)
	clock := testkit.ServerClock(t, c.DB)
	require.NoError(t, c.Tasks.Enqueue(t.Context(), orchestrator.Task{ID: "t", Type: orchestrator.General, Timeout: time.Hour}))
	claim := func(worker string) int {
		tasks, err := c.Tasks.Claim(t.Context(), 1, worker)
		require.NoError(t, err)
		return len(tasks)
	}
	require.Equal(t, 1, claim("slow"))
	require.Zero(t, claim("fast"))
	clock.Advance(2 * time.Hour)
	require.Equal(t, 1, claim("fast"))
}
