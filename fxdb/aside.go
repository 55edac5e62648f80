package fxdb

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// aside is a connection like the pool's, for the questions of a start, because the pool is not
// open yet. The first question opens the connection.
type aside struct {
	pc   *pgxpool.Config
	conn *pgx.Conn
}

// ask runs a question on the connection.
func (a *aside) ask(ctx context.Context, question func(*pgx.Conn) error) error {
	if a.conn == nil || a.conn.IsClosed() { // the time of the last question was over
		cc := a.pc.ConnConfig.Copy()
		cc.Tracer = nil
		if a.pc.BeforeConnect != nil {
			if err := a.pc.BeforeConnect(ctx, cc); err != nil {
				return err
			}
		}
		conn, err := pgx.ConnectConfig(ctx, cc) //nolint:forbidigo // closed before the pool opens
		if err != nil {
			return err
		}
		a.conn = conn
	}
	return question(a.conn)
}

// close closes the connection, if a question has opened the connection.
func (a *aside) close(ctx context.Context) {
	if a.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = a.conn.Close(ctx)
}
