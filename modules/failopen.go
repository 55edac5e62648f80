package modules

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
)

// FailOpen lets calls pass whose database can't be reached or used. Clients build
// their own FailOpen on it; nothing passes by default.
type FailOpen struct {
	client  string
	log     *zap.Logger
	dropped atomic.Int64
}

// NewFailOpen returns a FailOpen for a client, named as it is in the log. Each call
// that passes is logged as a warning, without values; log may be nil.
func NewFailOpen(client string, log *zap.Logger) *FailOpen {
	if log == nil {
		log = zap.NewNop()
	}
	return &FailOpen{client: client, log: log}
}

// Dropped returns how many calls went by without the database.
func (f *FailOpen) Dropped() int64 { return f.dropped.Load() }

// gone are the errors of a database that is not there, or not ready for use.
var gone = []error{
	fxdb.ErrNotStarted, fxdb.ErrDraining, fxdb.ErrAcquireTimeout, fxdb.ErrQueueFull, ErrUnavailable, ErrTimeout, ErrSchema,
}

// Pass reports whether err is let pass, and notes it. An error of the caller's
// own context is not.
func (f *FailOpen) Pass(ctx context.Context, operation string, err error) bool {
	if err == nil || ctx.Err() != nil || !slices.ContainsFunc(gone, func(known error) bool { return errors.Is(err, known) }) {
		return false
	}
	f.dropped.Add(1)
	f.log.Warn(f.client+" goes on without its database", zap.String("operation", operation), zap.Error(err))
	return true
}

// Drop returns err, or nil where it is let pass.
func (f *FailOpen) Drop(ctx context.Context, operation string, err error) error {
	if f.Pass(ctx, operation, err) {
		return nil
	}
	return err
}
