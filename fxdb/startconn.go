package fxdb

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// startConn is a connection like the pool's, for the questions of a start, because the pool is not
// open yet. The first question opens the connection.
type startConn struct {
	pc   *pgxpool.Config
	conn *pgx.Conn
}

// ask runs a question on the connection.
func (c *startConn) ask(ctx context.Context, question func(*pgx.Conn) error) error {
	if c.conn == nil || c.conn.IsClosed() { // the time of the last question was over
		cc := c.pc.ConnConfig.Copy()
		cc.Tracer = nil
		if c.pc.BeforeConnect != nil {
			if err := c.pc.BeforeConnect(ctx, cc); err != nil {
				return err
			}
		}
		conn, err := pgx.ConnectConfig(ctx, cc) //nolint:forbidigo // closed before the pool opens
		if err != nil {
			return err
		}
		c.conn = conn
	}
	return question(c.conn)
}

// close closes the connection, if a question has opened the connection.
func (c *startConn) close(ctx context.Context) {
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = c.conn.Close(ctx)
}
