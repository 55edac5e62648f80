package newpool

import (
	"context"
	"database/sql"

	"github.com/agentagency/onepool/fxdb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func holdsAPool(pool *pgxpool.Pool) *pgxpool.Pool { return pool }

func pings(ctx context.Context, pool *pgxpool.Pool) error { return pool.Ping(ctx) }

func closes(pool *pgxpool.Pool) { pool.Close() }

func begins(ctx context.Context, pool *pgxpool.Pool) (pgx.Tx, error) { return pool.Begin(ctx) }

func asksOnepool(ctx context.Context, db *fxdb.DB) { _, _ = db.Exec(ctx, "") }

func usesASQLDB(ctx context.Context, db *sql.DB) { _, _ = db.ExecContext(ctx, "") }

type opener struct{ open func(context.Context) error }

func (o opener) Connect(ctx context.Context) error { return o.open(ctx) }

func ownConnect(ctx context.Context, o opener) error { return o.Connect(ctx) }
