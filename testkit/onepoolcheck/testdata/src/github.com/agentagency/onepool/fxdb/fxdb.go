// Package fxdb stands in for the real one in the cases of the rules.
package fxdb

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"
)

type Config struct{}

type DB struct{}

type ClientOption interface{ applyClient() }

type Option interface{ apply() }

func Open(ctx context.Context, cfg Config, opts ...Option) (*DB, error)        { return nil, nil }
func Client(name string, constructor any, opts ...ClientOption) fx.Option      { return nil }
func Idempotent(ctx context.Context) context.Context                           { return ctx }
func (db *DB) Named(name string, opts ...ClientOption) *DB                     { return nil }
func (db *DB) Pool() *pgxpool.Pool                                             { return nil }
func (db *DB) Close(ctx context.Context) error                                 { return nil }
func (db *DB) Ping(ctx context.Context) error                                  { return nil }
func (db *DB) Begin(ctx context.Context) (pgx.Tx, error)                       { return nil, nil }
func (db *DB) BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error) { return nil, nil }
func (db *DB) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults    { return nil }
func (db *DB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row   { return nil }
func (db *DB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return nil, nil
}
func (db *DB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return pgconn.CommandTag{}, nil
}
func (db *DB) InTx(ctx context.Context, opts pgx.TxOptions, fn func(pgx.Tx) error) error { return nil }
