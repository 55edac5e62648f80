// Package fxdb gives an application one PostgreSQL pool that fx starts and
// drains, and that every database client shares.
//
// Add Module to the app, declare each database client with Client, and take a
// *DB in its constructor:
//
//	fx.New(
//		fxdb.Module,
//		fxdb.Migrations("orders", migrations),
//		fxdb.Client("orders", orders.New, fxdb.RequireTenant()),
//	)
//
// The identity that package tenant puts into a context reaches the server with
// every statement, as settings local to the statement's transaction, and row-
// level security policies read them there. A program without fx gets the same
// from Open.
//
// A *DB has the methods of a *pgxpool.Pool; pgx's types, errors and semantics
// are unchanged.
package fxdb
