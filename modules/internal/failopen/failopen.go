// Package failopen lets calls pass when the database is unreachable or unusable.
package failopen

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/modules"
)

// Policy decides, for a client, which errors of the database may pass. No call passes by default:
// a client with a Policy is a type of its own.
type Policy struct {
	client  string
	log     *zap.Logger
	dropped atomic.Int64
}

// New returns a [Policy] for a client, with the client's name in the log. Policy logs each call
// that passes as a warning, without values; log may be nil.
func New(client string, log *zap.Logger) *Policy {
	if log == nil {
		log = zap.NewNop()
	}
	return &Policy{client: client, log: log}
}

// Dropped returns the number of calls that passed without the database.
func (p *Policy) Dropped() int64 { return p.dropped.Load() }

// gone are the errors of an absent database, or of a database that is not ready for use.
var gone = []error{
	fxdb.ErrNotStarted, fxdb.ErrDraining, fxdb.ErrAcquireTimeout, fxdb.ErrQueueFull, modules.ErrUnavailable, modules.ErrTimeout, modules.ErrSchema,
}

// Pass reports whether err may pass, and counts and logs err. An error of the caller's own
// context may not pass.
func (p *Policy) Pass(ctx context.Context, operation string, err error) bool {
	if err == nil || ctx.Err() != nil || !slices.ContainsFunc(gone, func(known error) bool { return errors.Is(err, known) }) {
		return false
	}
	p.dropped.Add(1)
	p.log.Warn(p.client+" goes on without its database", zap.String("operation", operation), zap.Error(err))
	return true
}

// Drop returns nil if err may pass, otherwise err.
func (p *Policy) Drop(ctx context.Context, operation string, err error) error {
	if p.Pass(ctx, operation, err) {
		return nil
	}
	return err
}
