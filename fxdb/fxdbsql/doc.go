// Package fxdbsql gives programs of database/sql (sqlx, gorm, ent, goose and the like) the pool
// of fxdb: a *sql.DB that opens no connection outside the pool.
//
//	fx.New(
//		fxdb.Module,
//		fxdbsql.Module, // provides *sql.DB
//		fx.Provide(NewOrders), // func NewOrders(db *sql.DB) *Orders
//	)
//
// [Open] does the same for a *fxdb.DB. The pool counts the connections of the *sql.DB under the
// client's name, and bounds the wait by fxdb.Config's ConnectionTimeout. The drain of the pool
// drains the connections of the *sql.DB too. errors.Is and errors.As find fxdb's errors (*fxdb.AcquireError,
// fxdb.ErrDraining, fxdb.ErrTenantRequired and so on) and pgx's errors. A query returns the
// same values as with pgx's own package stdlib.
//
// # Tenants
//
// Each statement has the scope of the statement's context, in the same round trip, as with
// *fxdb.DB: prepared statements and statements of a *sql.Conn too. A transaction has the scope
// of the context that began the transaction. A statement in a transaction fails with
// fxdb.ErrTenantMismatch if the statement's context has another tenant or user. A transaction
// begun by the text BEGIN can't carry a tenant: the transaction's statements fail with
// fxdb.ErrTenantNotCarried. An error of the commit of a single statement appears at the end of
// the statement's rows: in Rows.Err, Rows.Close and Row.Scan.
//
// # Differences from other drivers
//
// DB.Conn takes a connection with the first statement. Prepare sends nothing: pgx prepares a
// statement on each connection at the first use, and a mistake in the statement shows at the
// first use. Conn.Raw gives no *pgx.Conn, because a statement of a *pgx.Conn would carry no
// tenant: for COPY, LISTEN and other features of pgx use *fxdb.DB, on the same pool.
package fxdbsql
