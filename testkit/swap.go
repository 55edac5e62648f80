package testkit

import (
	"errors"
	"slices"
	"testing"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/graph"
	"github.com/agentagency/onepool/internal/migrate"
)

// Swap replaces the pool of an fx application by a pool on a database of this test's
// own. Swap applies the migrations that the graph contributes, and keeps the graph's
// logger, tracers and fxdb.VerifyOptions:
//
//	app := fxtest.New(t, production.Module, testkit.Swap(t))
//	defer app.RequireStop()
//
// Swap works at the root of the application and inside any fx.Module. fxdb.Module reads
// no setting and opens no production pool in such an application;
// *lifecycle.Monitor watches the test's pool. The pool is ready before the application
// starts and is closed with the test, so stop the application before the test ends.
//
// Each pool of fxdb.ModuleNamed gets a database of its own too, with the migrations that
// the graph contributes to the pool. opts, testkit.Migrations among them, are for all.
//
// The application fails with [ErrNotSwapped] if something else than fxdb.Module provides
// its *fxdb.DB: Swap can't replace such a pool.
func Swap(t testing.TB, opts ...Option) fx.Option {
	s := &swap{t: t, opts: opts}
	return fx.Options(
		fx.Supply(graph.Swap[fxdb.Config, *fxdb.DB]{Database: s.database}),
		fx.Invoke(func(p struct {
			fx.In
			Lifecycle fx.Lifecycle
			DB        *fxdb.DB `optional:"true"`
		}) error {
			if p.DB != nil {
				_, ours := databases.Load(p.DB.Pool())
				return notSwapped(ours)
			}
			// Pools of fxdb.ModuleNamed alone: this runs before those that come later are built.
			p.Lifecycle.Append(fx.StartHook(func() error { return notSwapped(s.pools > 0) }))
			return nil
		}),
	)
}

// swap makes the databases of one Swap: one for each pool of the application.
type swap struct {
	t     testing.TB
	opts  []Option
	pools int
}

func (s *swap) database(sources []migrate.Source) (fxdb.Config, func(*fxdb.DB), error) {
	s.pools++
	opts := slices.Clone(s.opts)
	for _, source := range sources {
		opts = append(opts, contributed(source))
	}
	d, err := newDatabase(s.t, opts)
	return d.config, func(db *fxdb.DB) { d.keep(s.t, db) }, err
}

func notSwapped(swapped bool) error {
	if swapped {
		return nil
	}
	return ErrNotSwapped
}

// ErrNotSwapped fails an application that has a Swap, and a *fxdb.DB that fxdb.Module did
// not build. Provide the pool by fxdb.Module, or give the constructor DB(t).
var ErrNotSwapped = errors.New("testkit: Swap: the graph's *fxdb.DB is not a test's: fxdb.Module did not provide it")
