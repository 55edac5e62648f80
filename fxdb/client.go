package fxdb

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/admission"
)

// ClientOption sets how a client uses the pool.
type ClientOption interface{ apply(*client) error }

type clientOption func(*client) error

func (f clientOption) apply(c *client) error { return f(c) }

// Client declares a database client: a constructor that takes a *DB with the client's
// name. Client is fx.Module(name, Named(name, opts...), fx.Provide(constructor)). A blank
// name fails the application with a [*ConfigError]. Two Clients of one name are one client
// with the options of both. The start warns of a constructor that
// takes neither a *DB, a *sql.DB nor a *pgxpool.Pool: name and options do not reach the
// constructor's statements.
func Client(name string, constructor any, opts ...ClientOption) fx.Option {
	if err := checkName("Client", name); err != nil {
		return fx.Error(err)
	}
	if constructor == nil { // fx would panic
		return fx.Error(fmt.Errorf("fxdb.Client: client %q has no constructor", name))
	}
	all := []fx.Option{Named(name, opts...), fx.Provide(constructor)}
	if !takesDatabase(constructor) {
		all = append(all, warnOfConstructor(name))
	}
	return fx.Module(name, all...)
}

// Named gives every constructor of the enclosing fx.Module a *DB with the name and the
// options, as zap's Named does for loggers. In the module of another client the names
// join, and the inner client inherits: see [DB.Named]. A blank name fails the application.
func Named(name string, opts ...ClientOption) fx.Option {
	if err := checkName("Named", name); err != nil {
		return fx.Error(err)
	}
	return fx.Decorate(func(db *DB) *DB { return db.Named(name, opts...) })
}

// RequireTenant refuses every statement without an identity in its context with
// [ErrTenantRequired], before fxdb sends anything. tenant.System is the way out.
func RequireTenant() ClientOption {
	return clientOption(func(c *client) error {
		c.requireTenant.Store(true)
		return nil
	})
}

// ServerTimeouts are limits that the server enforces. Zero keeps the limit of earlier
// Timeouts, or the pool's limit. A negative value is no limit. A limit below a millisecond
// fails the start, and so does [LeftToServer], which is for the pool's settings only.
type ServerTimeouts struct {
	Statement         time.Duration // statement_timeout
	Lock              time.Duration // lock_timeout
	IdleInTransaction time.Duration // idle_in_transaction_session_timeout
	Transaction       time.Duration // transaction_timeout of Begin and InTx, from PostgreSQL 17 on; no older server has the limit
}

// Timeouts gives the client its own limits on the server, instead of the pool's
// DB_STATEMENT_TIMEOUT_MS, DB_LOCK_TIMEOUT_MS and DB_IDLE_IN_TX_TIMEOUT_MS. The limits
// travel with each statement, in the same round trip. Every statement therefore runs in a
// transaction, with or without a tenant.
//
// Exec, Query and QueryRow run a statement that can't run in a transaction (VACUUM, CREATE INDEX
// CONCURRENTLY) alone, after a round trip that sets the limits: not with a tenant,
// DB_TENANT_ROLE or a pooler. A connection of [DB.Acquire] has the limits until its release. Connections of the
// raw pool have the pool's limits.
func Timeouts(t ServerTimeouts) ClientOption {
	return clientOption(func(c *client) error {
		if t.Statement == LeftToServer || t.Lock == LeftToServer || t.IdleInTransaction == LeftToServer || t.Transaction == LeftToServer {
			return &ConfigError{Client: c.name, Setting: "Timeouts", Reason: "LeftToServer is for the pool's settings only: use 0 for the pool's limit"}
		}
		for _, d := range []time.Duration{t.Statement, t.Lock, t.IdleInTransaction, t.Transaction} {
			if d > 0 && d < time.Millisecond {
				return &ConfigError{Client: c.name, Setting: "Timeouts", Reason: fmt.Sprintf("%s is below a millisecond: a time.Duration counts nanoseconds, so name the unit, for example 30*time.Second", d)}
			}
		}
		c.timeouts = ServerTimeouts{
			Statement:         cmp.Or(t.Statement, c.timeouts.Statement),
			Lock:              cmp.Or(t.Lock, c.timeouts.Lock),
			IdleInTransaction: cmp.Or(t.IdleInTransaction, c.timeouts.IdleInTransaction),
			Transaction:       cmp.Or(t.Transaction, c.timeouts.Transaction),
		}
		return nil
	})
}

// MaxConns limits the connections that the client may hold at once. A client that is heavy
// on the server's processor needs a limit, because no queue can share out the processor.
// From 1 on. A lower number fails the start with a [*ConfigError]. The pool logs a warning about
// a limit above DB_POOL_MAX, which has no effect.
// With DB_SHARING off the pool ignores MaxConns, Reserve and Weight, and logs a warning.
func MaxConns(conns int) ClientOption {
	return countOption("MaxConns", conns, func(l *admission.Limits) { l.Max = conns })
}

// Reserve keeps connections reachable for the client, regardless of the other clients. The pool
// does not lend reserved connections. From 1 on. A lower number, a Reserve above the client's
// MaxConns, and reserves that together leave no connection of DB_POOL_MAX fail the start with a
// [*ConfigError].
func Reserve(conns int) ClientOption {
	return countOption("Reserve", conns, func(l *admission.Limits) { l.Reserve = conns })
}

// Weight is the client's share when clients compete: a client of weight 2 gets twice the
// connections of a client of the default weight of 1. From 1 to 1,048,576. A number outside
// the range fails the start with a [*ConfigError].
func Weight(n int) ClientOption {
	return countOption("Weight", n, func(l *admission.Limits) { l.Weight = n })
}

// pendingOptions collects the options of one call of Named. configure applies the options together,
// in any order.
type pendingOptions struct {
	limits  admission.Limits
	options []string
}

func countOption(option string, n int, set func(*admission.Limits)) ClientOption {
	return clientOption(func(c *client) error {
		option := fmt.Sprintf("%s(%d)", option, n)
		if n < 1 {
			return &ConfigError{Client: c.name, Setting: option, Reason: "must be at least 1"}
		}
		set(&c.pending.limits)
		c.pending.options = append(c.pending.options, option)
		return nil
	})
}

// configure applies options. An option that can't be met stays the client's optionErr.
func (c *client) configure(log *zap.Logger, opts []ClientOption) error {
	c.pending = pendingOptions{}
	if c.permits != nil {
		c.pending.limits = c.permits.Limits()
	}
	var err error
	for _, o := range opts {
		err = errors.Join(err, o.apply(c))
	}
	switch options := strings.Join(c.pending.options, ", "); {
	case err != nil || options == "":
	case c.permits == nil:
		log.Warn("DB_SHARING is off, so the limits of this client are ignored",
			zap.String("client", c.name), zap.Strings("options", c.pending.options))
	default:
		var invalid *admission.InvalidError
		if errors.As(c.permits.SetLimits(c.pending.limits), &invalid) {
			err = &ConfigError{Client: c.name, Setting: options, Reason: invalid.Reason}
		}
		if limit, most := c.pending.limits.Max, c.monitor.Pool().Stat().MaxConns(); limit > int(most) {
			log.Warn("MaxConns is above the size of the pool, and has no effect: lower MaxConns, or raise DB_POOL_MAX",
				zap.String("client", c.name), zap.Int("max_conns", limit), zap.Int32("pool_max", most))
		}
	}
	if err != nil {
		c.optionErr.CompareAndSwap(nil, &err)
	}
	return err
}
