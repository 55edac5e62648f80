package testkit

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/tenant"
)

// Swap replaces the pool of an fx application by one on a database of this
// test's own, with the migrations that the graph contributes applied, and its
// logger, tracers and fxdb.VerifyOptions. Put it at the root of fxtest.New, outside
// any fx.Module, where a decorator reaches the whole graph:
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
		Sources []migrate.Source      `group:"onepool.migrations"`
		Tracers []pgx.QueryTracer     `group:"onepool.tracers"`
		Verify  []tenant.VerifyOption `group:"onepool.verify"`
		Log     *zap.Logger           `optional:"true"`
	}) (*fxdb.DB, *pgxpool.Pool, error) {
		all := append([]Option{}, opts...)
		for _, s := range p.Sources {
			all = append(all, Migrations(s.Name, s.FS))
		}
		more := []fxdb.Option{fxdb.WithLogger(p.Log), fxdb.WithVerifyOptions(p.Verify...)}
		for _, tracer := range p.Tracers {
			more = append(more, fxdb.WithTracer(tracer))
		}
		db, err := open(t, all, more...)
		if err != nil {
			return nil, nil, err
		}
		return db, db.Pool(), nil
	})
}
