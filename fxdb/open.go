package fxdb

import (
	"context"
	"fmt"
	"runtime"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/graph"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/tenant/rls"
)

// Option changes what Open builds.
type Option interface{ apply(*options) }

type options struct {
	log      *zap.Logger
	logged   bool // log goes somewhere
	sources  []migrate.Source
	password PasswordSource
	callers  bool
	fx       bool // fx starts and stops the pool
	tracers  []pgx.QueryTracer
	verify   []rls.VerifyOption
	hooks    []graph.ConnectHook
	changes  []func(*pgxpool.Config) error // of the pool's configuration
	applied  []migrate.Source              // the test's database has them already
	swapped  bool                          // the database is a test's, in place of the application's

	rawPool RawPoolMode
	traceID func(context.Context) string
}

type option func(*options)

func (f option) apply(o *options) { f(o) }

// WithLogger takes the pool's log lines. Default: none.
func WithLogger(log *zap.Logger) Option {
	return option(func(o *options) {
		if log != nil {
			o.log = log
		}
	})
}

// WithCallSites is [Config.CallSites] for Open: errors and reports name the call site of every
// holder.
func WithCallSites() Option { return option(func(o *options) { o.callers = true }) }

// WithPasswordSource asks source for the password of every new connection.
func WithPasswordSource(source PasswordSource) Option {
	return option(func(o *options) { o.password = source })
}

// WithTracer traces the pool with t, beside onepool's own tracing. t may also have the
// methods of pgx's and pgxpool's further tracers.
func WithTracer(t pgx.QueryTracer) Option {
	return option(func(o *options) { o.tracers = append(o.tracers, t) })
}

// Open builds and starts a pool, for programs without fx. Open connects, checks the
// server, migrates if cfg.Migrate is set, and warms the pool. [DB.Close] drains the pool.
// Open fails with a [*ConfigError] that names the setting, or with the server's error. A
// failed Open leaves nothing open.
func Open(ctx context.Context, cfg Config, opts ...Option) (*DB, error) {
	o := options{log: zap.NewNop()}
	for _, opt := range opts {
		opt.apply(&o)
	}
	origin := "fxdb.Open"
	if _, file, line, ok := runtime.Caller(1); ok {
		origin = fmt.Sprintf("fxdb.Open at %s:%d", file, line)
	}
	db, err := newDB(cfg, o, origin)
	if err != nil {
		return nil, err
	}
	if err := db.start(ctx); err != nil {
		return nil, err
	}
	return db, nil
}
