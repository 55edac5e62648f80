package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/testkit"
)

func TestADedicatedClientHasAPoolOfItsOwn(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	own := notesDB(t, testkit.Config(one))
	type moved struct{ db *fxdb.DB }
	type left struct{ db *fxdb.DB }
	var m moved
	var l left
	db := startApp(t, fxdb.Config{
		URL: own.Pool().Config().ConnString(), ApplicationName: "migrating", PoolMin: 1, PoolMax: 2, Dedicated: []string{"left=3"},
	},
		fxdb.Client("moved", func(db *fxdb.DB) moved { return moved{db} }, fxdb.MaxConns(1)),
		fxdb.Client("left", func(db *fxdb.DB) left { return left{db} }, fxdb.MaxConns(2)),
		fx.Populate(&m, &l))
	require.NotSame(t, db.Pool(), l.db.Pool())
	require.Same(t, db.Pool(), m.db.Pool())
	require.EqualValues(t, 3, l.db.Pool().Stat().MaxConns())

	release, releaseLeft := holding(t, db, 2), holding(t, l.db, 2)
	refused(t, l.db, l.db.Ping) // its limits hold in its own pool
	require.Equal(t, 2, clientStats(t, db, "left").Held)
	require.Equal(t, 2, clientStats(t, db, "app").Held)
	require.Equal(t, 2, clientStats(t, db, "left").MaxConns)
	require.EqualValues(t, 1, clientStats(t, db, "left").Refused)
	require.Equal(t, 4, backends(t, own, "migrating"))
	releaseLeft()
	release()
	for _, handle := range []*fxdb.DB{db, l.db} {
		_, err := handle.Exec(as(t, "acme"), "select 1")
		require.NoError(t, err)
	}
	tenants := db.Stats().Tenants
	require.Len(t, tenants, 1)
	require.EqualValues(t, 2, tenants[0].Acquired, "of both pools")

	require.NoError(t, db.Close(context.Background()))
	require.ErrorIs(t, l.db.Ping(t.Context()), fxdb.ErrDraining)
	requireNoBackends(t, own, "migrating")
}

func TestDedicatedPoolsCountInTheCheckOfTheSize(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	own := notesDB(t, testkit.Config(one))
	cfg := fxdb.Config{URL: own.Pool().Config().ConnString(), ApplicationName: "sized", PoolMax: 2, Dedicated: []string{"a=60000"}}
	_, err := fxdb.Open(within(t), cfg)
	require.ErrorContains(t, err, "DB_DEDICATED")
	requireNoBackends(t, own, "sized")
	cfg.Dedicated = []string{"a"}
	db, err := fxdb.Open(within(t), cfg)
	require.NoError(t, err)
	require.EqualValues(t, 2, db.Named("a").Pool().Stat().MaxConns())
	require.NoError(t, db.Close(context.Background()))
}

func TestAMemberOfDedicatedThatIsNoClientIsWarnedOf(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	core, logs := observer.New(zap.WarnLevel)
	startApp(t, fxdb.Config{URL: urlOf(t), Dedicated: []string{"nobody"}}, fx.Supply(zap.New(core)))
	require.NotZero(t, logs.FilterMessageSnippet("DB_DEDICATED").FilterField(zap.String("client", "nobody")).Len())
}

func TestADedicatedPoolHasFiguresOfItsOwn(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax, c.Dedicated = 1, 2, []string{"left=3"} }))
	left := db.Named("left")
	release := holding(t, left, 3)
	require.NoError(t, db.Ping(as(t, "acme")))

	var s fxdb.Stats
	require.Eventually(t, func() bool { s = db.Stats(); return s.Status == lifecycle.Healthy }, patience, time.Millisecond, "a probe may be slow")
	require.Equal(t, []int{2, 0}, []int{s.Max, s.Active})
	require.Len(t, s.Dedicated, 1)
	own := s.Dedicated[0]
	require.Equal(t, "left", own.Client)
	require.Equal(t, []int{3, 3, 3, 0}, []int{own.Max, own.Total, own.Active, own.Idle})
	require.Equal(t, lifecycle.Unhealthy, own.Status)
	require.EqualValues(t, 3, own.Opened)
	require.Len(t, own.Clients, 1)
	require.Equal(t, clientStats(t, db, "left"), own.Clients[0])
	require.Equal(t, s.Dedicated[0].Max, left.Stats().Dedicated[0].Max, "whichever handle is asked")

	release()
	require.NoError(t, left.Pool().Ping(t.Context()))
	s = db.Stats()
	require.Equal(t, "raw pool", s.Dedicated[0].Clients[1].Name)
	require.NotContains(t, names(s.Clients), "raw pool", "it is the other pool's")
	require.Equal(t, []*lifecycle.Monitor{db.Monitor(), left.Monitor()}, left.Monitors())
}

func TestADedicatedPoolCountsInTheReadiness(t *testing.T) {
	size.SkipUnlessSoak(t, "lifecycle's TestAPoolIsAsReadyAsThoseBesideIt")
	t.Parallel()
	s := pgfault.Start(t)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: s.AppURL(), PoolMin: 1, PoolMax: 2, Dedicated: []string{"left=1"}})
	require.NoError(t, err)
	defer db.Close(context.Background())
	m, left := db.Monitor(), db.Named("left")
	changes := make(chan lifecycle.Health, 10)
	m.OnChange(func(h lifecycle.Health) { changes <- h })
	require.True(t, m.Health(t.Context()).Ready)

	release := holding(t, left, 1)
	h := <-changes
	for h.Status != lifecycle.Unhealthy { // its one connection is in use
		require.True(t, h.Ready)
		h = <-changes
	}
	require.True(t, h.Ready)
	require.Zero(t, h.Active, "the figures are the shared pool's")
	s.Freeze(t)
	for h = <-changes; h.Ready; h = <-changes {
	}
	require.NotEmpty(t, h.Error)
	s.Thaw(t)
	release()
	for !h.Ready || h.Status != lifecycle.Healthy {
		h = <-changes
	}
}

// Without fx clients are named after the start, and nobody has named one when it starts.
func TestDedicatedWithoutFxIsWarnedOfOnlyAtTheEnd(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestAMemberOfDedicatedThatIsNoClientIsWarnedOf")
	core, logs := observer.New(zap.WarnLevel)
	cfg := fxdb.Config{URL: pgfault.Start(t).AppURL(), PoolMin: 1, PoolMax: 2, Dedicated: []string{"left=1", "lfet=1"}}
	db, err := fxdb.Open(t.Context(), cfg, fxdb.WithLogger(zap.New(core)))
	require.NoError(t, err)
	require.Empty(t, logs.All(), "neither a client that nobody has named yet, nor a second pool that DB_DEDICATED made")
	require.NoError(t, db.Named("left").Ping(t.Context()))
	require.NoError(t, db.Close(t.Context()))
	require.NoError(t, db.Close(t.Context()))
	logged := logs.FilterMessageSnippet("DB_DEDICATED")
	require.Equal(t, 1, logged.Len())
	require.Equal(t, 1, logged.FilterField(zap.String("client", "lfet")).Len(), "nobody has named it to the end")
}

func TestAThirdPoolOnTheDatabaseIsWarnedOfBesideDedicatedOnes(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestDedicatedPoolsCountInTheCheckOfTheSize")
	url := pgfault.Start(t).AppURL()
	core, logs := observer.New(zap.WarnLevel)
	type left struct{}
	startApp(t, fxdb.Config{URL: url, PoolMin: 1, PoolMax: 2, Dedicated: []string{"left=1"}}, fx.Supply(zap.New(core)),
		fxdb.Client("left", func(*fxdb.DB) left { return left{} }), fx.Invoke(func(left) {}))
	require.Zero(t, logs.FilterMessageSnippet("second pool").Len())
	cfg := fxdb.Config{URL: url, PoolMin: 1, PoolMax: 2, Dedicated: []string{"left=1"}}
	other, err := fxdb.Open(t.Context(), cfg, fxdb.WithLogger(zap.New(core)))
	require.NoError(t, err)
	require.Equal(t, 1, logs.FilterMessageSnippet("second pool").Len(), "nobody's setting made it")
	require.NoError(t, other.Close(context.Background()))
}
