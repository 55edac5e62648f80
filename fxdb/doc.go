// Package fxdb gives an application one PostgreSQL pool. fx starts and drains the pool, and
// every database client uses the pool.
//
// Add [Module] to the app, declare each database client with [Client], and take a *DB in the
// client's constructor:
//
//	fx.New(
//		fxdb.Module,
//		fxdb.Migrations("orders", migrations),
//		fxdb.Client("orders", orders.New, fxdb.RequireTenant()),
//	)
//
// The identity that package tenant puts into a context reaches the server with every
// statement, as settings local to the statement's transaction. Row-level security policies
// read the settings. A program without fx gets the same pool from [Open].
//
// A *DB has the methods of a *pgxpool.Pool. pgx's types, errors and semantics are unchanged.
package fxdb
