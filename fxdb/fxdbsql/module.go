package fxdbsql

import (
	"database/sql"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
)

// Module provides a *sql.DB over the *fxdb.DB of the place of Module. At the root of the
// application Module takes the application's *fxdb.DB. Inside an fx.Module Module takes the
// *fxdb.DB of the module's client (see fxdb.Named), for the fx.Module alone. Module closes the
// *sql.DB at stop, before the pool drains.
//
// Use the *sql.DB from OnStart on, as the pool. If an ORM pings when opened, switch the ping
// off or open the ORM in OnStart.
var Module = fx.Provide(provide, fx.Private)

func provide(lc fx.Lifecycle, db *fxdb.DB) *sql.DB {
	own := Open(db)
	lc.Append(fx.StopHook(own.Close))
	return own
}
