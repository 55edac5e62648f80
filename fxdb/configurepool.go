package fxdb

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/internal/graph"
)

// ConfigurePool changes the configuration of pgxpool before onepool builds the pool, for
// features without a setting: DialFunc, TLS, OnNotice, OnPgError, runtime parameters,
// PrepareConn, AfterRelease, BeforeClose, or a token source in BeforeConnect or
// OAuthTokenProvider. The hooks of onepool run around the hooks that fn sets: a
// BeforeConnect runs after PasswordSource, and an AfterConnect runs before the hooks of
// [OnConnect], by the same rules. A Tracer joins the tracers of [WithTracer]. Several
// functions run in no order.
//
// fn may not change a value that a setting of [Config] owns: the number of connections,
// their lifetimes, application_name and the limits on the server. A change of an owned
// value fails with a [*ConfigError] that names the setting. An error of fn fails the build
// of the graph.
//
// Inside [ModuleNamed] the function belongs to the named pool. In a test with testkit.Swap
// the function runs too, but address, login, TLS, dialer and BeforeConnect stay the values
// of the test's database.
func ConfigurePool(fn func(*pgxpool.Config) error) fx.Option {
	return fx.Provide(fx.Annotate(func(of graph.Pool) graph.PoolConfig { return graph.PoolConfig{Pool: of, Change: fn} },
		fx.ParamTags(`optional:"true"`), fx.ResultTags(`group:"onepool.poolconfig"`)))
}

// WithConfigurePool is [ConfigurePool] for Open.
func WithConfigurePool(fn func(*pgxpool.Config) error) Option {
	return option(func(o *options) { o.changes = append(o.changes, fn) })
}

// configurePool applies the changes, and takes over a tracer from the changes.
func (o *options) configurePool(cfg Config, pc *pgxpool.Config) error {
	if len(o.changes) == 0 {
		return nil
	}
	given := pc.Copy()
	for _, change := range o.changes {
		if err := changePool(change, pc); err != nil {
			return fmt.Errorf("fxdb.ConfigurePool: %w", err)
		}
	}
	if err := refuseOwned(given, pc); err != nil {
		return err
	}
	if o.swapped {
		keepTarget(given, pc)
	}
	if cfg.pooled() {
		if err := cfg.refuseForPooler(pc); err != nil {
			return err
		}
	}
	pc.BeforeConnect = before(nil, pc.BeforeConnect)
	if t := pc.ConnConfig.Tracer; t != nil {
		o.tracers = append(slices.Clone(o.tracers), t)
		pc.ConnConfig.Tracer = nil
	}
	return nil
}

func changePool(change func(*pgxpool.Config) error, pc *pgxpool.Config) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panicked: %v", r)
		}
	}()
	if change == nil {
		return errors.New("the function is nil")
	}
	if err := change(pc); err != nil {
		return err
	}
	if pc.ConnConfig == nil {
		return errors.New("ConnConfig is nil: change the fields of the given ConnConfig instead")
	}
	return nil
}

// refuseOwned returns an error for a change of a value that a setting owns.
func refuseOwned(given, pc *pgxpool.Config) error {
	param := func(name string) bool {
		return given.ConnConfig.RuntimeParams[name] != pc.ConnConfig.RuntimeParams[name]
	}
	for _, owned := range []struct {
		changed        bool
		field, setting string
	}{
		{given.MaxConns != pc.MaxConns, "MaxConns", "DB_POOL_MAX"},
		{given.MinConns != pc.MinConns, "MinConns", "DB_POOL_MIN"},
		{given.MaxConnLifetime != pc.MaxConnLifetime, "MaxConnLifetime", "DB_MAX_LIFETIME_MS"},
		{given.MaxConnLifetimeJitter != pc.MaxConnLifetimeJitter, "MaxConnLifetimeJitter", "DB_MAX_LIFETIME_MS"},
		{given.MaxConnIdleTime != pc.MaxConnIdleTime, "MaxConnIdleTime", "DB_IDLE_TIMEOUT_MS"},
		{param("application_name"), "application_name", "DB_APPLICATION_NAME"},
		{param("statement_timeout"), "statement_timeout", "DB_STATEMENT_TIMEOUT_MS"},
		{param("lock_timeout"), "lock_timeout", "DB_LOCK_TIMEOUT_MS"},
		{param("idle_in_transaction_session_timeout"), "idle_in_transaction_session_timeout", "DB_IDLE_IN_TX_TIMEOUT_MS"},
	} {
		if owned.changed {
			return &ConfigError{Setting: owned.setting, Reason: "decides " + owned.field + ", which fxdb.ConfigurePool changes: change the setting instead"}
		}
	}
	if param("client_encoding") {
		return errors.New("fxdb.ConfigurePool: client_encoding must stay UTF8")
	}
	return nil
}

// keepTarget keeps a test's pool on the test's database.
func keepTarget(given, pc *pgxpool.Config) {
	from, cc := given.ConnConfig, pc.ConnConfig
	cc.Host, cc.Port, cc.Database, cc.User, cc.Password = from.Host, from.Port, from.Database, from.User, from.Password
	cc.TLSConfig, cc.SSLNegotiation, cc.Fallbacks = from.TLSConfig, from.SSLNegotiation, from.Fallbacks
	cc.DialFunc, cc.LookupFunc, cc.AfterNetConnect = from.DialFunc, from.LookupFunc, from.AfterNetConnect
	cc.OAuthTokenProvider, cc.ValidateConnect = from.OAuthTokenProvider, from.ValidateConnect
	pc.BeforeConnect = given.BeforeConnect
}

type beforeConnect = func(context.Context, *pgx.ConnConfig) error

// before runs first, then own. own runs in a goroutine of pgxpool: a panic there would end
// the process.
func before(first, own beforeConnect) beforeConnect {
	if own == nil {
		return first
	}
	return func(ctx context.Context, cc *pgx.ConnConfig) (err error) {
		if first != nil {
			if err := first(ctx, cc); err != nil {
				return err
			}
		}
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("fxdb.ConfigurePool: BeforeConnect panicked: %v", r)
			}
		}()
		return own(ctx, cc)
	}
}
