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
// The application fails with [ErrNotSwapped] if something else than fxdb.Module provides
// its *fxdb.DB: Swap can't replace such a pool.
func Swap(t testing.TB, opts ...Option) fx.Option {
	s := &swap{t: t, opts: opts}
	return fx.Options(
		fx.Supply(graph.Swap[fxdb.Config, *fxdb.DB]{Config: s.config, Opened: s.opened}),
		fx.Invoke(func(db *fxdb.DB) error {
			if _, ours := databases.Load(db.Pool()); !ours {
				return ErrNotSwapped
			}
			return nil
		}),
	)
}

// swap is the database of one Swap.
type swap struct {
	t    testing.TB
	opts []Option
	database
}

func (s *swap) config(sources []migrate.Source) (fxdb.Config, error) {
	opts := slices.Clone(s.opts)
	for _, source := range sources {
		opts = append(opts, contributed(source))
	}
	var err error
	s.database, err = newDatabase(s.t, opts)
	return s.database.config, err
}

func (s *swap) opened(db *fxdb.DB) { s.keep(s.t, db) }

// ErrNotSwapped fails an application that has a Swap, and a *fxdb.DB that fxdb.Module did
// not build. Provide the pool by fxdb.Module, or give the constructor DB(t).
var ErrNotSwapped = errors.New("testkit: Swap: the graph's *fxdb.DB is not a test's: fxdb.Module did not provide it")
