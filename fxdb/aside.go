package fxdb

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// askAside runs ask on a connection like the pool's, because the pool is not open yet.
func askAside(ctx context.Context, pc *pgxpool.Config, ask func(*pgx.Conn) error) error {
	cc := pc.ConnConfig.Copy()
	cc.Tracer = nil
	if pc.BeforeConnect != nil {
		if err := pc.BeforeConnect(ctx, cc); err != nil {
			return err
		}
	}
	conn, err := pgx.ConnectConfig(ctx, cc) //nolint:forbidigo // closed before the pool opens
	if err != nil {
		return err
	}
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closeCtx)
	}()
	return ask(conn)
}
