// Package sqldoor is what fxdb/fxdbsql needs of fxdb and nobody else may have: one
// connection of a client's, kept over several statements, each with the scope of
// its own context.
package sqldoor

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Session takes its connection with its first use and keeps it until Release. It
// is not safe for concurrent use.
type Session interface {
	// Exec and Query run one statement with the scope of ctx, as those of *fxdb.DB
	// do; Query reads the first row ahead. Close the rows before the next use.
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	// BeginTx starts a transaction with the scope of ctx. Until its end only it
	// may be used.
	BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
	Ping(ctx context.Context) error
	Release()
}

// Open makes a session of a *fxdb.DB. fxdb sets it.
var Open func(db any) Session
