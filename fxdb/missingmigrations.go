package fxdb

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/migrate"
)

// warnOfMissingMigrations logs the contributed migrations that the database lacks, because
// DB_MIGRATE is not true. The look must leave time to start, and fails no start.
func (c *core) warnOfMissingMigrations(ctx context.Context, startup *startConn, sources []migrate.Source) {
	if len(sources) == 0 {
		return
	}
	ctx, cancel := halfOfTheTime(ctx)
	defer cancel()
	var pending []migrate.Pending
	err := startup.ask(ctx, func(conn *pgx.Conn) (err error) {
		pending, err = migrate.FindPending(ctx, conn, sources)
		return err
	})
	if err != nil {
		c.log.Debug("the start can't find out whether the database lacks migrations", zap.Error(err))
		return
	}
	if len(pending) == 0 {
		return
	}
	first, missing := make([]string, len(pending)), 0
	for i, p := range pending {
		first[i] = p.Source + "/" + p.First
		missing += p.Count
	}
	c.log.Warn("the database lacks migrations, and DB_MIGRATE is not true: set DB_MIGRATE=true, or apply the migrations before the start",
		zap.Strings("first_missing", first), zap.Int("missing", missing), zap.String("setting", settingsPrefix(c.cfg.pool)+"DB_MIGRATE"))
}

// halfOfTheTime returns ctx with half of the time until the deadline of ctx.
func halfOfTheTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	return context.WithCancel(ctx)
}
