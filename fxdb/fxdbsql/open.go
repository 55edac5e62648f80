package fxdbsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/sqldoor"
)

// Open returns a *sql.DB whose connections are those of db's pool, taken in the
// name of db's client. It opens none itself and fails never; before the pool's
// start and from a stop on its uses fail as db's do, with fxdb.ErrNotStarted and
// fxdb.ErrDraining.
//
// Close it when it is no longer needed: that ends database/sql's one goroutine
// and leaves the pool alone. database/sql keeps no idle connection, whatever
// SetMaxIdleConns says, and needs no limit of its own.
func Open(db *fxdb.DB) *sql.DB { return sql.OpenDB(connector{db}) } //nolint:forbidigo // it opens no pool: the connector takes from the one

// Connector returns the connector of Open, for libraries that wrap a driver.Connector before
// sql.OpenDB, such as otelsql. The *sql.DB of the wrapped connector behaves as the *sql.DB
// of Open. A library that wraps the connection must pass on
// driver.Validator, or database/sql keeps connections of the pool.
func Connector(db *fxdb.DB) driver.Connector { return connector{db} }

type connector struct{ db *fxdb.DB }

// Connect takes no connection yet: only the statement knows whose it is and
// whether it is for a transaction, and database/sql may hand a connection that it
// asked for in one caller's name to another.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	m := c.db.Monitor()
	switch {
	case m.Draining():
		return nil, fxdb.ErrDraining
	case !m.Started():
		return nil, fxdb.ErrNotStarted
	}
	return &conn{session: sqldoor.Open(c.db)}, nil
}

func (c connector) Driver() driver.Driver { return closedDriver{} }

// closedDriver belongs to the pool, so that nobody opens another one through it.
type closedDriver struct{}

func (closedDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("fxdbsql: there is one pool, and it is not opened by a name: use fxdbsql.Open")
}
