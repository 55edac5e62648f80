package modules_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/clienttest"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/testkit"
)

// bounded are clients with a statement timeout, and a read of each.
func bounded(t *testing.T, db *fxdb.DB, d time.Duration) map[string]func(context.Context) error {
	agents, err := agentregistry.New(agentregistry.Params{DB: db, Config: agentregistry.Config{StatementTimeout: d}})
	require.NoError(t, err)
	facts, err := knowledge.New(knowledge.Params{DB: db, Config: knowledge.Config{StatementTimeout: d}})
	require.NoError(t, err)
	queue, err := orchestrator.New(orchestrator.Params{DB: db, Config: orchestrator.Config{StatementTimeout: d}})
	require.NoError(t, err)
	checks, err := verification.New(verification.Params{DB: db, Config: verification.Config{StatementTimeout: d}})
	require.NoError(t, err)
	pages, err := webnavigator.New(webnavigator.Params{DB: db, Config: webnavigator.Config{StatementTimeout: d}})
	require.NoError(t, err)
	return map[string]func(context.Context) error{
		"agentregistry": func(ctx context.Context) error { _, err := agents.Stats(ctx); return err },
		"knowledge":     func(ctx context.Context) error { _, err := facts.CacheStats(ctx); return err },
		"orchestrator":  func(ctx context.Context) error { _, err := queue.Stats(ctx); return err },
		"verification":  func(ctx context.Context) error { _, err := checks.CacheStats(ctx); return err },
		"webnavigator":  func(ctx context.Context) error { _, err := pages.CacheStats(ctx); return err },
	}
}

func house(t *testing.T) *fxdb.DB {
	t.Helper()
	options := []testkit.Option{testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 1, 1 })}
	for _, m := range all {
		options = append(options, testkit.Migrations(m.name, m.migrations))
	}
	return testkit.DB(t, options...)
}

func TestAClientsStatementTimeoutEndsItsStatements(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestStatementTimeoutsOfTheClientsAlone")
	db := house(t)
	reads := bounded(t, db, 500*time.Millisecond)
	ctx := clienttest.As(t, "acme")
	for name, read := range reads {
		require.NoError(t, read(ctx), name) // prepared: a wait in that would meet lock_timeout
	}
	tx, err := testkit.OwnerPool(t, db).Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), lockSQL)
	require.NoError(t, err)
	for name, read := range reads {
		began := time.Now()
		err := read(ctx)
		require.True(t, clienttest.IsCode(err, "57014"), "%s: %v", name, err)
		require.ErrorIs(t, err, modules.ErrTimeout, name)
		t.Logf("%s ended after %s", name, time.Since(began))
	}
	require.NoError(t, tx.Rollback(t.Context()))
	for name, read := range reads {
		require.NoError(t, read(ctx), name)
	}
}

func TestStatementTimeoutsOfTheClientsAlone(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := house(t)
	timeout := func(db *fxdb.DB) (v string) {
		clienttest.Scan(t, clienttest.As(t, "acme"), db, "select current_setting('statement_timeout')", &v)
		return v
	}
	own := timeout(db)
	for given, want := range map[time.Duration]map[string]string{
		0:                {"agentregistry": "5s", "knowledge": own, "orchestrator": own, "verification": own, "webnavigator": own},
		time.Hour:        {"agentregistry": "1h", "knowledge": "1h", "orchestrator": "1h", "verification": "1h", "webnavigator": "1h"},
		-time.Nanosecond: {"agentregistry": "0", "knowledge": "0", "orchestrator": "0", "verification": "0", "webnavigator": "0"},
	} {
		db := house(t)
		bounded(t, db, given)
		for name, want := range want {
			require.Equal(t, want, timeout(db.Named(name)), "%s, given %s", name, given)
		}
		require.Equal(t, own, timeout(db), "the pool's own")
	}
}
