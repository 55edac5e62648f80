package fxdb

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/internal/graph"
)

// RawPoolMode says what a use of the raw pool does if its context has an identity, which
// a connection of the raw pool can't carry.
type RawPoolMode string

const (
	// RawPoolRefuses fails the use with ErrUnscoped, before anything is sent. It is the
	// default: a statement that was meant for a tenant is found.
	RawPoolRefuses RawPoolMode = "refuse"
	// RawPoolWithoutTenant runs the use as if the context had no identity: as the pool's
	// login, of whom policies show no tenant's rows. It is for a library that keeps
	// tables of its own and is called with the context of a request, such as a job queue.
	RawPoolWithoutTenant RawPoolMode = "without tenant"
)

// RawPool sets the mode of [DB.Pool] and *pgxpool.Pool in an fx application; inside
// ModuleNamed that of its pool. DB.Acquire refuses in each mode. Two that
// differ fail the application, as a mode that is none of the constants does, with a
// *RawPoolModeError.
//
// Most libraries need no mode: give tenant.System's context to work on a library's own
// tables, and a transaction of [DB.InTx] to what belongs to the tenant's, as examples/river does.
func RawPool(mode RawPoolMode) fx.Option {
	return fx.Provide(fx.Annotate(func(of graph.Pool) graph.RawPool { return graph.RawPool{Pool: of, Mode: string(mode)} },
		fx.ParamTags(`optional:"true"`), fx.ResultTags(`group:"onepool.rawpool"`)))
}

// WithRawPool is RawPool for Open.
func WithRawPool(mode RawPoolMode) Option { return option(func(o *options) { o.rawPool = mode }) }

// RawPoolModeError refuses a mode that is none of the constants.
type RawPoolModeError struct{ Mode RawPoolMode }

// Error names the constants.
func (e *RawPoolModeError) Error() string {
	return fmt.Sprintf("fxdb.RawPool: %q is no mode: use RawPoolRefuses or RawPoolWithoutTenant", string(e.Mode))
}

// rawPoolMode is what the graph says of one pool.
func rawPoolMode(all []graph.RawPool, pool graph.Pool) (mode RawPoolMode, err error) {
	for _, r := range all {
		switch own := RawPoolMode(r.Mode); {
		case r.Pool != pool:
		case mode != "" && mode != own:
			return "", errors.New("fxdb.RawPool is given twice, with two modes: keep one of them")
		default:
			mode = own
		}
	}
	return mode, nil
}

// acquire is what an acquire from the raw pool is asked with.
func (m RawPoolMode) acquire() (func(context.Context) error, error) {
	switch m {
	case RawPoolRefuses, "":
		return refuseUnscoped, nil
	case RawPoolWithoutTenant:
		return nil, nil
	}
	return nil, &RawPoolModeError{m}
}
