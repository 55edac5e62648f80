package fxdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/internal/graph"
	"github.com/agentagency/onepool/tenant"
)

// RawPoolMode chooses how the raw pool treats a context with an identity. A connection of
// the raw pool has no scope that would carry the identity.
type RawPoolMode string

const (
	// RawPoolRefuses is the default. The mode fails the call with ErrTenantNotCarried before the pool
	// sends a statement: a statement meant for a tenant can't run without the tenant.
	RawPoolRefuses RawPoolMode = "refuse"
	// RawPoolWithoutTenant runs the call as if the context had no identity: as the pool's
	// login, to which policies show no tenant's rows. Use RawPoolWithoutTenant for a library
	// with its own tables that receives a request's context, such as a job queue.
	RawPoolWithoutTenant RawPoolMode = "without tenant"
	// RawPoolSession sets the identity of the context for the session, in one more round trip
	// for each acquire: the holder's statements run as the tenant. Before the next holder gets
	// the connection, the pool undoes the identity in a round trip, or closes the connection. A
	// context without an identity gets a connection without an identity.
	//
	// Use RawPoolSession for a library that takes a *pgxpool.Pool and queries tenants' tables. A
	// statement whose context has another tenant or user than the acquire fails with
	// [ErrTenantMismatch], and the pool sends nothing: an acquired connection, a transaction and
	// a *sql.DB of stdlib.OpenDBFromPool serve one identity at a time. DB_TENANT_ROLE holds for
	// the session too. RawPoolSession can't work behind a transaction pooler.
	RawPoolSession RawPoolMode = "session"
)

// RawPool sets the mode of [DB.Pool] and *pgxpool.Pool in an fx application. Inside
// ModuleNamed, RawPool sets the mode of the named pool. [DB.Acquire] refuses an identity in
// every mode. Two different modes fail the application. An unknown mode fails the
// application with a [*ConfigError].
//
// Most libraries need no mode. Pass a context of [tenant.System] to work on a library's
// tables, and a transaction of [DB.InTx] to work on a tenant's rows: see examples/river.
func RawPool(mode RawPoolMode) fx.Option {
	return fx.Provide(fx.Annotate(func(of graph.Pool) graph.RawPool { return graph.RawPool{Pool: of, Mode: string(mode)} },
		fx.ParamTags(`optional:"true"`), fx.ResultTags(`group:"onepool.rawpool"`)))
}

// WithRawPool is RawPool for Open.
func WithRawPool(mode RawPoolMode) Option { return option(func(o *options) { o.rawPool = mode }) }

// rawPoolMode returns the mode that the graph sets for one pool.
func rawPoolMode(all []graph.RawPool, pool graph.Pool) (mode RawPoolMode, err error) {
	for _, r := range all {
		switch own := RawPoolMode(r.Mode); {
		case r.Pool != pool:
		case mode != "" && mode != own:
			return "", errors.New("fxdb.RawPool is given twice, with two modes: keep one mode")
		default:
			mode = own
		}
	}
	return mode, nil
}

// setRawPool sets how the raw pool of pc treats an identity.
func (c *core) setRawPool(pc *pgxpool.Config, mode RawPoolMode) error {
	switch mode {
	case RawPoolRefuses, "":
		c.rawAcquire = refuseUnscoped
	case RawPoolWithoutTenant:
	case RawPoolSession:
		return c.carrySessions(pc)
	default:
		return &ConfigError{Setting: "RawPool", Reason: fmt.Sprintf("%q is unknown: must be RawPoolRefuses, RawPoolWithoutTenant or RawPoolSession", string(mode))}
	}
	return nil
}

// refuseUnscoped fails acquires from the pool itself if the context has an identity:
// statements on such a connection carry no identity.
func refuseUnscoped(ctx context.Context, _ *pgx.Conn) (keep bool, err error) {
	if _, ok := tenant.FromContext(ctx); ok {
		return true, ErrTenantNotCarried
	}
	return true, nil
}
