// Package failopen lets calls pass when the database is unreachable or unusable.
package failopen

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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

	mu       sync.Mutex
	logged   time.Time // of the last line
	unlogged int64     // calls that passed since the last line
}

// LogEvery is the shortest time between two lines of a [Policy] in the log: in an outage every
// call passes.
const LogEvery = 10 * time.Second

// New returns a [Policy] for a client, with the client's name in the log. Policy logs the first
// call that passes as a warning, without values, and then a call every [LogEvery] at most, with
// the number of the calls that passed without a line. log may be nil.
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
	if unlogged, ok := p.line(time.Now()); ok {
		p.log.Warn(p.client+" goes on without its database", zap.String("operation", operation),
			zap.Int64("not_logged", unlogged), zap.Error(err))
	}
	return true
}

// line reports whether a call that passes now has a line in the log, and returns the number of
// the calls without a line since the last line.
func (p *Policy) line(now time.Time) (unlogged int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.logged.IsZero() && now.Sub(p.logged) < LogEvery {
		p.unlogged++
		return 0, false
	}
	unlogged, p.logged, p.unlogged = p.unlogged, now, 0
	return unlogged, true
}

// Drop returns nil if err may pass, otherwise err.
func (p *Policy) Drop(ctx context.Context, operation string, err error) error {
	if p.Pass(ctx, operation, err) {
		return nil
	}
	return err
}
