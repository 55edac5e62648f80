package modules_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant"
)

// hires registers an agent and queues its first task.
func hires(t *testing.T, db *fxdb.DB) func(ctx context.Context) error {
	t.Helper()
	agents, err := agentregistry.New(agentregistry.Params{DB: db.Named("agentregistry", fxdb.RequireTenant())})
	require.NoError(t, err)
	queue, err := orchestrator.New(orchestrator.Params{DB: db.Named("orchestrator", fxdb.RequireTenant())})
	require.NoError(t, err)
	return func(ctx context.Context) error {
		if err := agents.Register(ctx, agentregistry.Agent{ID: "ada", Name: "Ada", ModelFamily: "x"}); err != nil {
			return err
		}
		if _, err := agents.Get(ctx, "ada"); err != nil { // it sees what the transaction wrote
			return err
		}
		if err := queue.Enqueue(ctx, orchestrator.Task{ID: "t", Type: orchestrator.General, Description: "begin"}); err != nil {
			return err
		}
		_, err := queue.Claim(ctx, 1, "ada") // several statements
		return err
	}
}

func rows(t *testing.T, ctx context.Context, db *fxdb.DB) (n int) {
	t.Helper()
	clienttest.Scan(t, ctx, db, "select (select count(*) from registry.agents) + (select count(*) from orchestrator.tasks)", &n)
	return n
}

// The pool has one connection: who asked for a second one would wait for ever.
func TestClientsJoinATransaction(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := house(t)
	hire := hires(t, db)
	ctx := clienttest.As(t, "acme")
	failed := errors.New("no room")
	err := db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := hire(modules.Join(ctx, tx)); err != nil {
			return err
		}
		return failed
	})
	require.ErrorIs(t, err, failed)
	require.Zero(t, rows(t, ctx, db), "all of it was rolled back")

	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return hire(modules.Join(ctx, tx)) }))
	require.Equal(t, 2, rows(t, ctx, db))

	err = db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return hire(modules.Join(ctx, tx)) })
	require.ErrorIs(t, err, agentregistry.ErrAgentExists, "errors keep their class")
}

func TestWhoJoinsHasTheTransactionsTenant(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := house(t)
	hire := hires(t, db)
	acme := clienttest.As(t, "acme")
	in := func(begun, joined context.Context) error {
		return db.InTx(begun, pgx.TxOptions{}, func(tx pgx.Tx) error { return hire(modules.Join(joined, tx)) })
	}
	require.ErrorIs(t, in(acme, clienttest.As(t, "globex")), fxdb.ErrTenantMismatch)
	require.ErrorIs(t, in(acme, t.Context()), fxdb.ErrTenantRequired)
	require.ErrorIs(t, in(t.Context(), acme), fxdb.ErrTenantMismatch, "it began with none")
	require.ErrorIs(t, in(t.Context(), t.Context()), fxdb.ErrTenantRequired)
	require.Error(t, in(t.Context(), tenant.System(t.Context(), "test")), "there is no row of nobody's")
	require.Zero(t, rows(t, acme, db))
	require.NoError(t, in(acme, tenant.System(t.Context(), "test")), "the transaction has its tenant")
	require.Equal(t, 2, rows(t, acme, db))
}

// What belongs to no tenant, and what is a transaction of its own else, joins too.
func TestEveryKindOfCallJoins(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := house(t)
	ctx := clienttest.As(t, "acme")
	facts, err := knowledge.New(knowledge.Params{DB: db})
	require.NoError(t, err)
	pages, err := webnavigator.New(webnavigator.Params{DB: db})
	require.NoError(t, err)
	require.NoError(t, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		ctx := modules.Join(ctx, tx)
		operator := modules.Join(tenant.System(t.Context(), "test"), tx)
		require.ErrorIs(t, facts.SetProviderHealth(ctx, "p", knowledge.ProviderHealth{}), modules.ErrForbidden)
		_, err := facts.ProviderHealth(operator, "p")
		require.ErrorIs(t, err, knowledge.ErrProviderNotFound)
		require.NoError(t, facts.CachePut(ctx, "k", []byte("1"), time.Hour, ""))
		_, found, err := facts.CacheGet(ctx, "k")
		require.NoError(t, err)
		require.True(t, found)
		_, err = facts.PutEntry(ctx, knowledge.Entry{Source: "s", EntityID: "e", Kind: "k", Name: "n", Body: "b"})
		require.NoError(t, err)
		_, err = pages.LimitedDomains(ctx)
		require.NoError(t, err)
		_, err = pages.Purge(ctx)
		require.NoError(t, err)
		_, err = facts.CachePurge(ctx)
		return err
	}))
	_, err = facts.GetEntry(ctx, "s", "e")
	require.NoError(t, err)

	// The transaction has its tenant, whoever joins: rows of all tenants are not its to write.
	err = db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		return facts.SetProviderHealth(modules.Join(tenant.System(t.Context(), "test"), tx), "p", knowledge.ProviderHealth{})
	})
	require.ErrorIs(t, err, modules.ErrForbidden)
	require.NoError(t, facts.SetProviderHealth(t.Context(), "p", knowledge.ProviderHealth{}))
}

func ExampleJoin() {
	hire := func(ctx context.Context, db *fxdb.DB, agents *agentregistry.Client, queue *orchestrator.Client) error {
		return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			ctx := modules.Join(ctx, tx)
			if err := agents.Register(ctx, agentregistry.Agent{ID: "ada", Name: "Ada", ModelFamily: agentregistry.ModelClaude35}); err != nil {
				return err
			}
			return queue.Enqueue(ctx, orchestrator.Task{ID: "first", Type: orchestrator.General, Description: "say hello"})
		})
	}
	_ = hire
}
