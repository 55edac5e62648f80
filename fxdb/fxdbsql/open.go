package fxdbsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/sqldoor"
)

// Open returns a *sql.DB on the connections of db's pool, taken in the name of db's client.
// Open opens no connection and never fails. Before the pool's start and from a stop on, calls
// of the *sql.DB fail as db's calls do, with fxdb.ErrNotStarted and fxdb.ErrDraining.
//
// Close the *sql.DB after the last use: Close ends database/sql's goroutine and leaves the pool
// alone. database/sql keeps no idle connection, for any SetMaxIdleConns, and needs no limit of
// connections.
func Open(db *fxdb.DB) *sql.DB { return sql.OpenDB(connector{db}) } //nolint:forbidigo // opens no pool: the connector takes from db's pool

// Connector returns the connector of [Open], for libraries that wrap a driver.Connector before
// sql.OpenDB, such as otelsql. The *sql.DB of the wrapped connector behaves as the *sql.DB of
// Open. If a library wraps the connection, the library must pass on driver.Validator, or
// database/sql keeps connections of the pool.
func Connector(db *fxdb.DB) driver.Connector { return connector{db} }

type connector struct{ db *fxdb.DB }

// Connect takes no connection yet: only the statement knows the caller, and whether the
// connection is for a transaction. database/sql may hand a connection of a caller to a
// different caller.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	m := c.db.Monitor()
	switch {
	case m.Draining():
		return nil, fxdb.ErrDraining
	case !m.Started():
		return nil, fxdb.ErrNotStarted
	}
	return &conn{session: c.db.Session(sqldoor.Key{})}, nil
}

func (c connector) Driver() driver.Driver { return closedDriver{} }

// closedDriver belongs to the pool: nobody opens a second pool through closedDriver.
type closedDriver struct{}

func (closedDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("fxdbsql: sql.Open can't open the pool by a name: use fxdbsql.Open")
}
