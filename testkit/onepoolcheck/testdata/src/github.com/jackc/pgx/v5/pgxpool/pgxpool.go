// Package pgxpool stands in for the real one in the cases of the rules.
package pgxpool

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type Config struct{}

type Pool struct{}

type Conn struct{}

func New(ctx context.Context, connString string) (*Pool, error)        { return nil, nil }
func NewWithConfig(ctx context.Context, config *Config) (*Pool, error) { return nil, nil }
func ParseConfig(connString string) (*Config, error)                   { return nil, nil }

func (p *Pool) Acquire(ctx context.Context) (c *Conn, err error) { return nil, nil }
func (p *Pool) Begin(ctx context.Context) (pgx.Tx, error)        { return nil, nil }
func (p *Pool) BeginTx(ctx context.Context, txOptions pgx.TxOptions) (pgx.Tx, error) {
	return nil, nil
}
func (p *Pool) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, nil
}
func (p *Pool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) { return nil, nil }
func (p *Pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row        { return nil }
func (p *Pool) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults         { return nil }
func (p *Pool) Ping(ctx context.Context) error                                       { return nil }
func (p *Pool) Close()                                                               {}

func (c *Conn) Release()                                  {}
func (c *Conn) Begin(ctx context.Context) (pgx.Tx, error) { return nil, nil }
