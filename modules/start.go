package modules

import (
	"context"

	"go.uber.org/fx"
	"go.uber.org/zap"
)

// AtStart has check, a client's CheckSchema or more, run at the application's start;
// lc may be nil. Where the pool has no server yet (DB_START=degrade) there is nothing
// to ask.
func (db *DB) AtStart(lc fx.Lifecycle, check func(context.Context) error) {
	if lc == nil {
		return
	}
	lc.Append(fx.StartHook(func(ctx context.Context) error {
		if !db.Monitor().Started() {
			return nil
		}
		return check(ctx)
	}))
}

// Anyway returns check for a client that may start without what it needs: why it
// can't be used is logged as a warning. log may be nil.
func Anyway(client string, log *zap.Logger, check func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := check(ctx); err != nil && log != nil {
			log.Warn(client+" can't be used", zap.Error(err))
		}
		return nil
	}
}
