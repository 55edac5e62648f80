package fxdb_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/tenant"
)

// exampleServer is the server that all test processes share. The server ends after the last
// process.
var exampleServer = sync.OnceValue(func() *devdb.Server {
	server, err := devdb.Start(context.Background(), devdb.Shared())
	if err != nil {
		log.Fatal(err)
	}
	return server
})

var exampleCount atomic.Int64

// openNotes starts an application with the table notes.notes, on a database of the example's
// own. Call stop at the end.
func openNotes(opts ...fx.Option) (db *fxdb.DB, stop func()) {
	name := fmt.Sprintf("example_%d_%d", os.Getpid(), exampleCount.Add(1))
	administer("create database " + name + " owner " + devdb.RoleOwner)
	app := fx.New(fx.NopLogger, fxdb.Module, fxdb.Migrations("notes", notes),
		fx.Replace(fxdb.Config{
			URL: exampleServer().DatabaseURL(devdb.RoleApp, name), MigrateURL: exampleServer().DatabaseURL(devdb.RoleOwner, name), Migrate: true,
		}),
		fx.Populate(&db), fx.Options(opts...))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := app.Stop(ctx); err != nil {
			log.Fatal(err)
		}
		administer("drop database " + name)
	}
}

func administer(sql string) {
	ctx := context.Background()
	admin, err := pgx.Connect(ctx, exampleServer().URL())
	if err == nil {
		_, err = admin.Exec(ctx, sql)
		_ = admin.Close(ctx)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// acme is a context that asks in the name of the tenant acme.
func acme() context.Context {
	return tenant.NewContext(context.Background(), tenant.Identity{Tenant: "acme"})
}
