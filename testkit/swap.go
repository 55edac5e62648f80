package testkit

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/graph"
	"github.com/agentagency/onepool/internal/migrate"
)

// Swap replaces the pool of an fx application by a pool on a database of the test's
// own. Swap applies the migrations that the graph contributes, and keeps the graph's
// logger, tracers and fxdb.VerifyOptions:
//
//	app := fxtest.New(t, production.Module, testkit.Swap(t))
//	defer app.RequireStop()
//
// Swap works at the root of the application and inside any fx.Module. With Swap, fxdb.Module
// reads no setting and opens no production pool, and *lifecycle.Monitor watches the test's
// pool. The pool is ready before the application starts: a constructor can use the pool, in
// a test only. The application's stop drains the pool as in production, so statements fail
// with fxdb.ErrDraining afterwards; [OwnerPool] still reads the database until the test ends.
// An application that nobody stops leaves the pool to the end of the test.
//
// Without a *zap.Logger in the graph, the pool's warnings are lines of the test.
//
// Each pool of fxdb.ModuleNamed gets a separate database, with the migrations that the graph
// contributes to the pool. opts, with testkit.Migrations, apply to every pool.
//
// If Config sets no VerifyTenancy, the first Swap of a process for a set of migrations
// verifies the isolation of tenants. Swap logs the findings, and fails no test.
//
// The application fails with [ErrNotSwapped] if fxdb.Module did not provide the *fxdb.DB:
// Swap replaces pools of fxdb.Module only.
func Swap(t testing.TB, opts ...Option) fx.Option {
	s := &swap{t: t, opts: opts}
	return fx.Options(
		fx.Supply(graph.Swap[fxdb.Config, *fxdb.DB]{Database: s.database}),
		fx.Provide(fx.Annotate(func() pgx.QueryTracer { return recorder{} }, fx.ResultTags(`group:"onepool.tracers"`))),
		fx.Invoke(func(p struct {
			fx.In
			Lifecycle fx.Lifecycle
			DB        *fxdb.DB `optional:"true"`
		}) error {
			if p.DB != nil {
				_, ours := databases.Load(p.DB.Pool())
				return notSwapped(ours)
			}
			// The application has pools of fxdb.ModuleNamed only, and fx may build more pools
			// later.
			p.Lifecycle.Append(fx.StartHook(func() error { return notSwapped(s.pools > 0) }))
			return nil
		}),
	)
}

// swap makes the databases of a Swap: a database for each pool of the application.
type swap struct {
	t     testing.TB
	opts  []Option
	pools int
}

// swapped holds the configuration and the database of a swapped pool.
type swapped = graph.Swapped[fxdb.Config, *fxdb.DB]

func (s *swap) database(sources []migrate.Source) (swapped, error) {
	s.pools++
	opts := slices.Clone(s.opts)
	for _, source := range sources {
		opts = append(opts, contributed(source))
	}
	d, err := newDatabase(s.t, opts)
	if err != nil {
		return swapped{}, err
	}
	_, known := verified.LoadOrStore(d.template, true)
	log := &testLog{t: s.t}
	return swapped{
		Config: d.config, Opened: func(db *fxdb.DB) { d.keep(s.t, db, log) },
		Verify: !known && d.config.VerifyTenancy == "", Log: log.logger(),
	}, nil
}

// verified are the templates whose isolation of tenants the process has verified: a second
// test does not repeat the findings of the first test.
var verified sync.Map

func notSwapped(ours bool) error {
	if ours {
		return nil
	}
	return ErrNotSwapped
}

// ErrNotSwapped fails an application with a [Swap] if fxdb.Module did not build the *fxdb.DB.
// Provide the pool by fxdb.Module, or give the constructor DB(t).
var ErrNotSwapped = errors.New("testkit: Swap: the graph's *fxdb.DB is not a test's: take the *fxdb.DB of fxdb.Module")
