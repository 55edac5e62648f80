package fxdb

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/fx"
)

// ClientOption says how a client shares the pool.
type ClientOption interface{ apply(*client) error }

type clientOption func(*client) error

func (f clientOption) apply(c *client) error { return f(c) }

// Client declares a database client: a constructor that takes a *DB named after
// it. It is fx.Module(name, Named(name, opts...), fx.Provide(constructor)).
func Client(name string, constructor any, opts ...ClientOption) fx.Option {
	return fx.Module(name, Named(name, opts...), fx.Provide(constructor))
}

// Named gives every constructor of the enclosing fx.Module a *DB with this name
// and these options, as zap's Named does for loggers.
func Named(name string, opts ...ClientOption) fx.Option {
	return fx.Decorate(func(db *DB) *DB { return db.Named(name, opts...) })
}

// RequireTenant refuses every statement without an identity in its context with
// ErrTenantRequired, before anything is sent. tenant.System is the way out.
func RequireTenant() ClientOption {
	return clientOption(func(c *client) error {
		c.requireTenant.Store(true)
		return nil
	})
}

// ServerTimeouts are limits that the server keeps. Zero is the pool's own limit,
// negative is none.
type ServerTimeouts struct {
	Statement         time.Duration // statement_timeout
	Lock              time.Duration // lock_timeout
	IdleInTransaction time.Duration // idle_in_transaction_session_timeout
}

// Timeouts gives this client other limits on the server than the pool's
// DB_STATEMENT_TIMEOUT_MS and its like. They travel with each statement, in the
// same round trip; so each runs in a transaction, tenant or not, and what can't
// (VACUUM, CREATE DATABASE) needs Acquire. Bare connections have the pool's limits.
func Timeouts(t ServerTimeouts) ClientOption {
	return clientOption(func(c *client) error {
		c.limits = t
		return nil
	})
}

var errShares = errors.New("sharing options are not available in this version")

// MaxShare limits the connections that this client may hold at once. It is not
// available in this version: the start fails.
func MaxShare(conns int) ClientOption {
	return clientOption(func(*client) error { return fmt.Errorf("MaxShare(%d): %w", conns, errShares) })
}

// Reserve keeps connections available to this client. It is not available in
// this version: the start fails.
func Reserve(conns int) ClientOption {
	return clientOption(func(*client) error { return fmt.Errorf("Reserve(%d): %w", conns, errShares) })
}

// Weight is this client's share when clients compete. Only the default of 1 is
// available in this version: with another the start fails.
func Weight(n int) ClientOption {
	return clientOption(func(*client) error {
		if n == 1 {
			return nil
		}
		return fmt.Errorf("Weight(%d): %w", n, errShares)
	})
}
