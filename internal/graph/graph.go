// Package graph holds the values that fxdb.Module reads from an fx graph and that other
// packages of this repository put there, so that fxdb imports none of those packages.
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

// Contributions are what an application adds to its pool.
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

// Pool is the name that fxdb.ModuleNamed gave a pool, empty for fxdb.Module's. An fx module
// that holds a pool has the pool's name as a private value, so that a contribution inside
// the module carries the pool's name.
type Pool string

// Verify are options for the verification of one pool's database.
type Verify struct {
	Pool    Pool
	Options []rls.VerifyOption
}

// RawPool is the mode of one pool's raw pool.
type RawPool struct {
	Pool Pool
	Mode string
}

// TraceID returns the trace id of a context, for the statements of every pool.
type TraceID func(context.Context) string

// ConnectHook runs on every new connection of one pool.
type ConnectHook struct {
	Pool Pool
	Name string
	Run  func(context.Context, *pgx.Conn) error
}

// PoolConfig changes the configuration that one pool is built from.
type PoolConfig struct {
	Pool   Pool
	Change func(*pgxpool.Config) error
}

// Fallback fills in a configuration of a pool that names no database. devdb.Module
// provides one.
type Fallback[Config any] func(Pool, Config) (Config, error)

// Swap replaces a pool's production database by a test's database, and receives the pool
// that fxdb opens on the test's database with the graph's contributions. testkit.Swap
// provides one. An fx module exports the values that it provides, so a Swap in any module
// of an application reaches the constructor of the pool. A decorator reaches its own
// module only.
type Swap[Config, DB any] struct {
	Database func([]migrate.Source) (Swapped[Config, DB], error)
}

// Swapped is the database of one pool.
type Swapped[Config, DB any] struct {
	Config Config
	Opened func(DB)
	Verify bool        // nobody has verified the isolation of tenants under these migrations
	Log    *zap.Logger // takes what the verification finds, if the graph has no logger
}
