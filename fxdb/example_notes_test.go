package fxdb_test

import (
	"context"
	"log"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/tenant"
)

// openNotes starts an application with the table notes.notes on a throwaway server. Call stop at
// the end.
func openNotes(opts ...fx.Option) (db *fxdb.DB, stop func()) {
	app := fx.New(fx.NopLogger, fxdb.Module, devdb.Module, fxdb.Migrations("notes", notes),
		fx.Populate(&db), fx.Options(opts...))
	if err := app.Start(context.Background()); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := app.Stop(context.Background()); err != nil {
			log.Fatal(err)
		}
	}
}

// acme is a context that asks in the name of the tenant acme.
func acme() context.Context {
	return tenant.NewContext(context.Background(), tenant.Identity{Tenant: "acme"})
}
