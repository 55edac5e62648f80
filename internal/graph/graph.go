// Package graph holds the values that fxdb.Module reads from an fx graph. Other packages of
// the repository provide the values, and fxdb imports no provider.
package graph

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/tenant/rls"
)

// Contributions are the values that an application adds to a pool.
type Contributions struct {
	fx.In

	Pool    Pool              `optional:"true"`
	Log     *zap.Logger       `optional:"true"`
	Sources []migrate.Source  `group:"onepool.migrations"`
	Tracers []pgx.QueryTracer `group:"onepool.tracers"`
	Verify  []Verify          `group:"onepool.verify"`
	RawPool []RawPool         `group:"onepool.rawpool"`
	TraceID []TraceID         `group:"onepool.traceid"`

	OnConnect     []ConnectHook `group:"onepool.onconnect"`
	ConfigurePool []PoolConfig  `group:"onepool.poolconfig"`
}

// Pool is the name of a pool of fxdb.ModuleNamed, and empty for the pool of fxdb.Module. An
// fx module that holds a pool has the pool's name as a private value: a contribution inside
// the module carries the pool's name.
type Pool string

// Verify are options for the verification of a pool's database.
type Verify struct {
	Pool    Pool
	Options []rls.VerifyOption
}

// RawPool is the mode of a pool's raw pool.
type RawPool struct {
	Pool Pool
	Mode string
}

// TraceID returns the trace id of a context, for the statements of every pool.
type TraceID func(context.Context) string

// ConnectHook runs on every new connection of a pool.
type ConnectHook struct {
	Pool Pool
	Name string
	Run  func(context.Context, *pgx.Conn) error
}

// PoolConfig changes the configuration of a pool before fxdb opens the pool.
type PoolConfig struct {
	Pool   Pool
	Change func(*pgxpool.Config) error
}

// Fallback fills in a pool's configuration that names no database. devdb.Module provides a
// Fallback.
type Fallback[Config any] func(Pool, Config) (Config, error)

// Swap replaces a pool's production database by a test's database, and receives the pool
// that fxdb opens on the test's database with the graph's contributions. testkit.Swap
// provides a Swap. An fx module exports every provided value: a Swap in any module of an
// application reaches the constructor of the pool. A decorator would reach the decorator's
// own module only.
type Swap[Config, DB any] struct {
	Database func([]migrate.Source) (Swapped[Config, DB], error)
}

// Swapped is the database of a pool.
type Swapped[Config, DB any] struct {
	Config Config
	Opened func(DB)
	Verify bool        // nobody has verified the isolation of tenants under the migrations
	Log    *zap.Logger // takes the warnings of the pool, if the graph has no logger
}
