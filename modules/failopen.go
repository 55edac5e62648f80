package modules

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
)

// FailOpen lets calls pass when the database is unreachable or unusable. Clients build their own
// FailOpen on FailOpen; no call passes by default.
type FailOpen struct {
	client  string
	log     *zap.Logger
	dropped atomic.Int64
}

// NewFailOpen returns a [FailOpen] for a client, with the client's name in the log. FailOpen
// logs each call that passes as a warning, without values; log may be nil.
func NewFailOpen(client string, log *zap.Logger) *FailOpen {
	if log == nil {
		log = zap.NewNop()
	}
	return &FailOpen{client: client, log: log}
}

// Dropped returns the number of calls that passed without the database.
func (f *FailOpen) Dropped() int64 { return f.dropped.Load() }

// gone are the errors of an absent database, or of a database that is not ready for use.
var gone = []error{
	fxdb.ErrNotStarted, fxdb.ErrDraining, fxdb.ErrAcquireTimeout, fxdb.ErrQueueFull, ErrUnavailable, ErrTimeout, ErrSchema,
}

// Pass reports whether err may pass, and counts and logs err. An error of the caller's own
// context may not pass.
func (f *FailOpen) Pass(ctx context.Context, operation string, err error) bool {
	if err == nil || ctx.Err() != nil || !slices.ContainsFunc(gone, func(known error) bool { return errors.Is(err, known) }) {
		return false
	}
	f.dropped.Add(1)
	f.log.Warn(f.client+" goes on without its database", zap.String("operation", operation), zap.Error(err))
	return true
}

// Drop returns nil if err may pass, otherwise err.
func (f *FailOpen) Drop(ctx context.Context, operation string, err error) error {
	if f.Pass(ctx, operation, err) {
		return nil
	}
	return err
}
