package testkit

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/migrate"
)

// Swap replaces the pool of an fx application by one on a database of this
// test's own, with the migrations that the graph contributes applied. Put it at
// the root of fxtest.New, outside any fx.Module, where a decorator reaches the
// whole graph:
//
//	app := fxtest.New(t, production.Module, testkit.Swap(t))
//	defer app.RequireStop()
//
// The production constructors of *fxdb.DB and *pgxpool.Pool never run, so no
// setting is read; *lifecycle.Monitor is the test pool's. The pool is ready
// before the application starts and is closed with the test, so stop the
// application before the test ends. An application that decorates *fxdb.DB or
// *pgxpool.Pool at the root itself must do so in an fx.Module of its own.
func Swap(t testing.TB, opts ...Option) fx.Option {
	return fx.Decorate(func(p struct {
		fx.In
		Sources []migrate.Source `group:"onepool.migrations"`
	}) (*fxdb.DB, *pgxpool.Pool, error) {
		all := append([]Option{}, opts...)
		for _, s := range p.Sources {
			all = append(all, Migrations(s.Name, s.FS))
		}
		db, err := open(t, all)
		if err != nil {
			return nil, nil, err
		}
		return db, db.Pool(), nil
	})
}
