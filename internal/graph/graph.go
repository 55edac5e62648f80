// Package graph holds the values that fxdb.Module reads from an fx graph and that other
// packages of this repository put there, so that fxdb imports none of those packages.
package graph

import (
	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/tenant"
)

// Contributions are what an application adds to its pool.
type Contributions struct {
	fx.In

	Log     *zap.Logger           `optional:"true"`
	Sources []migrate.Source      `group:"onepool.migrations"`
	Tracers []pgx.QueryTracer     `group:"onepool.tracers"`
	Verify  []tenant.VerifyOption `group:"onepool.verify"`
}

// Fallback fills in a configuration that names no database. devdb.Module provides one.
type Fallback[Config any] func(Config) (Config, error)

// Swap names the database that takes the place of the production database, and receives
// the pool that fxdb.Module opens there with all contributions of the graph. testkit.Swap
// provides one. An fx module exports the values that it provides, so a Swap in any module
// of an application reaches the constructor of the pool. A decorator reaches its own
// module only.
type Swap[Config, DB any] struct {
	Config func([]migrate.Source) (Config, error)
	Opened func(DB)
}
