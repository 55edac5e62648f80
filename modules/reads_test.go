package modules_test

import (
	"context"
	"io/fs"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

const noID = "00000000-0000-0000-0000-000000000000"

// reads of a client, each of what is not there.
type reads map[string]func(context.Context) error

func registryReads(t *testing.T, db *fxdb.DB) reads {
	c, err := agentregistry.New(agentregistry.Params{DB: db})
	require.NoError(t, err)
	return reads{
		"Get": func(ctx context.Context) error { _, err := c.Get(ctx, "x"); return err },
		"List": func(ctx context.Context) error {
			_, _, err := c.List(ctx, agentregistry.ListOptions{})
			return err
		},
		"FindByCapability": func(ctx context.Context) error {
			_, err := c.FindByCapability(ctx, agentregistry.Query{})
			return err
		},
		"FindScored": func(ctx context.Context) error { _, err := c.FindScored(ctx, agentregistry.Query{}); return err },
		"Available":  func(ctx context.Context) error { _, err := c.Available(ctx, 80, time.Hour); return err },
		"Stats":      func(ctx context.Context) error { _, err := c.Stats(ctx); return err },
		"AgentStats": func(ctx context.Context) error { _, err := c.AgentStats(ctx, "x"); return err },
	}
}

func knowledgeReads(t *testing.T, db *fxdb.DB) reads {
	c, err := knowledge.New(knowledge.Params{DB: db})
	require.NoError(t, err)
	require.NoError(t, c.CheckSchema(t.Context()))
	v := make([]float32, knowledge.Dimensions)
	v[0] = 1
	none := knowledge.SearchOptions{}
	return reads{
		"GetEntry":       func(ctx context.Context) error { _, err := c.GetEntry(ctx, "s", "e"); return err },
		"SearchText":     func(ctx context.Context) error { _, err := c.SearchText(ctx, "x", none); return err },
		"SearchSimilar":  func(ctx context.Context) error { _, err := c.SearchSimilar(ctx, v, none); return err },
		"HybridSearch":   func(ctx context.Context) error { _, err := c.HybridSearch(ctx, "x", v, none); return err },
		"EntryStats":     func(ctx context.Context) error { _, err := c.EntryStats(ctx, "", ""); return err },
		"CacheStats":     func(ctx context.Context) error { _, err := c.CacheStats(ctx); return err },
		"ProviderHealth": func(ctx context.Context) error { _, err := c.ProviderHealth(ctx, "p"); return err },
	}
}

func orchestratorReads(t *testing.T, db *fxdb.DB) reads {
	c, err := orchestrator.New(orchestrator.Params{DB: db})
	require.NoError(t, err)
	return reads{
		"Task":       func(ctx context.Context) error { _, err := c.Task(ctx, "x"); return err },
		"Queued":     func(ctx context.Context) error { _, err := c.Queued(ctx, 1); return err },
		"TimedOut":   func(ctx context.Context) error { _, err := c.TimedOut(ctx); return err },
		"Stats":      func(ctx context.Context) error { _, err := c.Stats(ctx); return err },
		"Assignment": func(ctx context.Context) error { _, err := c.Assignment(ctx, "x"); return err },
		"ActiveAssignments": func(ctx context.Context) error {
			_, err := c.ActiveAssignments(ctx, orchestrator.AssignmentFilter{})
			return err
		},
		"OverdueAssignments": func(ctx context.Context) error { _, err := c.OverdueAssignments(ctx); return err },
		"Executions":         func(ctx context.Context) error { _, err := c.Executions(ctx, "x"); return err },
		"Config":             func(ctx context.Context) error { _, err := c.Config(ctx); return err },
	}
}

func verificationReads(t *testing.T, db *fxdb.DB) reads {
	c, err := verification.New(verification.Params{DB: db})
	require.NoError(t, err)
	return reads{
		"Pending":           func(ctx context.Context) error { _, err := c.Pending(ctx, 1); return err },
		"EvidenceQuality":   func(ctx context.Context) error { _, err := c.EvidenceQuality(ctx); return err },
		"CacheStats":        func(ctx context.Context) error { _, err := c.CacheStats(ctx); return err },
		"MethodPerformance": func(ctx context.Context) error { _, err := c.MethodPerformance(ctx); return err },
		"Result":            func(ctx context.Context) error { _, err := c.Result(ctx, "x"); return err },
	}
}

func webReads(t *testing.T, db *fxdb.DB) reads {
	c, err := webnavigator.New(webnavigator.Params{DB: db})
	require.NoError(t, err)
	return reads{
		"CacheStats":     func(ctx context.Context) error { _, err := c.CacheStats(ctx); return err },
		"TraversalStats": func(ctx context.Context) error { _, err := c.TraversalStats(ctx, noID); return err },
		"RateLimit":      func(ctx context.Context) error { _, _, err := c.RateLimit(ctx, "example.org"); return err },
		"LimitedDomains": func(ctx context.Context) error { _, err := c.LimitedDomains(ctx); return err },
	}
}

// lockSQL locks every table of the clients.
const lockSQL = `do $$ declare r record; begin
    for r in select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where c.relkind = 'r' and n.nspname in ('registry', 'knowledge', 'orchestrator', 'verification', 'web') loop
        execute format('lock table %I.%I in access exclusive mode', r.nspname, r.relname);
    end loop;
end $$`

const endWaitersSQL = `select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and usename = current_user and wait_event_type = 'Lock'`

func TestReadsSurviveTheLossOfTheirConnection(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		migrations fs.FS
		reads      func(*testing.T, *fxdb.DB) reads
	}{
		"agentregistry": {agentregistry.Migrations(), registryReads},
		"knowledge":     {knowledge.Migrations(), knowledgeReads},
		"orchestrator":  {orchestrator.Migrations(), orchestratorReads},
		"verification":  {verification.Migrations(), verificationReads},
		"webnavigator":  {webnavigator.Migrations(), webReads},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := testkit.DB(t, testkit.Migrations(name, c.migrations), testkit.Config(func(c *fxdb.Config) { c.PoolMax, c.PoolMin = 1, 1 }))
			killer, err := pgx.ConnectConfig(t.Context(), db.Pool().Config().ConnConfig)
			require.NoError(t, err)
			defer killer.Close(context.Background())
			owner := testkit.OwnerPool(t, db)
			ctx := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme"})
			for read, do := range c.reads(t, db.Named(name, fxdb.RequireTenant())) {
				missing(t, read, do(ctx)) // prepares it: what is lost in that is sent again anyway
				tx, err := owner.Begin(t.Context())
				require.NoError(t, err)
				_, err = tx.Exec(t.Context(), lockSQL)
				require.NoError(t, err)
				done := make(chan error, 1)
				go func() { done <- do(ctx) }()
				require.Eventually(t, func() bool {
					var n int
					err := killer.QueryRow(t.Context(), endWaitersSQL).Scan(&n)
					return err == nil && n > 0
				}, 30*time.Second, 5*time.Millisecond, read)
				require.NoError(t, tx.Rollback(t.Context()))
				missing(t, read, <-done)
			}
		})
	}
}

func missing(t *testing.T, read string, err error) {
	t.Helper()
	if err != nil {
		require.ErrorIs(t, err, modules.ErrNotFound, read)
	}
}
