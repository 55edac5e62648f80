package fxdbsql

import (
	"database/sql"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
)

// Module provides a *sql.DB over the *fxdb.DB of the place where it stands: at the
// root of the application that of everybody, inside an fx.Module that of this
// module's client (see fxdb.Named), for this module alone. It is closed at stop,
// before the pool drains.
//
// Use it from OnStart on, as the pool: an ORM that pings when it is opened must be
// told not to, or be opened in OnStart.
var Module = fx.Provide(provide, fx.Private)

func provide(lc fx.Lifecycle, db *fxdb.DB) *sql.DB {
	own := Open(db)
	lc.Append(fx.StopHook(own.Close))
	return own
}
