// Package fxdbsql gives programs of database/sql (sqlx, gorm, ent, goose and the
// like) the one pool of fxdb: a *sql.DB that opens no connection of its own.
//
//	fx.New(
//		fxdb.Module,
//		fxdbsql.Module, // provides *sql.DB
//		fx.Provide(NewOrders), // func NewOrders(db *sql.DB) *Orders
//	)
//
// Open does the same for one *fxdb.DB. What such a *sql.DB takes counts, is held
// by the client's name, waits no longer than fxdb.Config's ConnectionTimeout and
// is drained with everything else. fxdb's errors (*fxdb.AcquireError,
// fxdb.ErrDraining, fxdb.ErrTenantRequired and so on) and pgx's are found by
// errors.Is and errors.As. The values that a query gives are those of pgx's own
// package stdlib.
//
// # Tenants
//
// Each statement has the scope of its own context, in the same round trip, as with
// *fxdb.DB: prepared statements and those of a *sql.Conn too. A transaction has
// the scope of the context that began it; a statement in it whose context has
// another tenant or user fails with fxdb.ErrTenantMismatch.
// A transaction begun by the text BEGIN can't carry a tenant: its statements fail
// with fxdb.ErrTenantNotCarried. An error of the commit of a single statement shows where
// its rows end: in Rows.Err, Rows.Close and Row.Scan.
//
// # What differs from other drivers
//
// DB.Conn takes its connection with the first statement, and Prepare sends
// nothing: pgx prepares statements on each connection as they are used, so that a
// mistake in one shows at its first use. Conn.Raw gives no *pgx.Conn, whose
// statements would carry no tenant: COPY, LISTEN and other matters of pgx are for
// *fxdb.DB, on the same pool.
package fxdbsql
