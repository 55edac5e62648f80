package store

import (
	"context"

	"go.uber.org/fx"
	"go.uber.org/zap"
)

// AtStart runs check, a client's CheckSchema or more, at the application's start; lc may be nil.
// AtStart does not run check if the pool has no server yet (DB_START=degrade).
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

// Anyway returns check for a client that may start without the required schema: the returned
// check logs the error as a warning. log may be nil.
func Anyway(client string, log *zap.Logger, check func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := check(ctx); err != nil && log != nil {
			log.Warn(client+" can't be used", zap.Error(err))
		}
		return nil
	}
}
