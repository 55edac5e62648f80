// Package sqldoor is the seam between fxdb and fxdb/fxdbsql: a connection of a client,
// kept over several statements. Each statement has the scope of its own context.
package sqldoor

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Key is the argument of fxdb's DB.Session. Code outside of onepool can't name Key, and so
// can't call DB.Session. The field keeps a struct{}{} from being a Key.
type Key struct{ _ struct{} }

// Session takes its connection with the first use and keeps the connection until Release. A
// Session is not safe for concurrent use.
type Session interface {
	// Exec and Query run one statement with the scope of ctx, as the methods of *fxdb.DB do.
	// Query reads the first row ahead. Close the rows before the next use.
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	// BeginTx starts a transaction with the scope of ctx. Until the end of the transaction
	// the caller uses only the transaction.
	BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error)
	Ping(ctx context.Context) error
	Release()
}
