package fxdb

import (
	"fmt"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/admission"
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

// MaxShare limits the connections that this client may hold at once: for one that
// is heavy on the server's processor, which no queue can share out. At least 1.
// With DB_SHARING off it is ignored, as Reserve and Weight are, and the log warns of it.
func MaxShare(conns int) ClientOption {
	return limit("MaxShare", conns, func(l *admission.Limits) { l.Max = conns })
}

// Reserve keeps connections reachable for this client, whatever the others do. They
// are not lent. The start fails when all reserves together leave none of
// DB_POOL_MAX. At least 1.
func Reserve(conns int) ClientOption {
	return limit("Reserve", conns, func(l *admission.Limits) { l.Reserve = conns })
}

// Weight is this client's share when clients compete: one of weight 2 gets twice the
// connections of one of the default weight of 1.
func Weight(n int) ClientOption {
	return limit("Weight", n, func(l *admission.Limits) { l.Weight = n })
}

func limit(option string, n int, set func(*admission.Limits)) ClientOption {
	return clientOption(func(c *client) error {
		if n < 1 {
			return fmt.Errorf("%s(%d): must be at least 1: %w", option, n, admission.ErrInvalid)
		}
		if c.share == nil {
			c.ignored = append(c.ignored, fmt.Sprintf("%s(%d)", option, n))
			return nil
		}
		l := c.share.Limits()
		set(&l)
		if err := c.share.SetLimits(l); err != nil {
			return fmt.Errorf("%s(%d): %w", option, n, err)
		}
		return nil
	})
}
