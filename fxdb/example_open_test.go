package fxdb_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
)

// Open is for programs without fx.
func ExampleOpen() {
	ctx := context.Background()
	server, err := devdb.Start(ctx) // yours: a connection string
	if err != nil {
		log.Panic(err)
	}
	defer func() { _ = server.Stop(ctx) }()

	db, err := fxdb.Open(ctx, fxdb.Config{URL: server.DatabaseURL(devdb.RoleApp, "postgres"), PoolMax: 5})
	if err != nil {
		log.Panic(err)
	}
	var sum int
	err = db.QueryRow(ctx, "select 20 + 22").Scan(&sum)
	fmt.Println(sum, err)
	fmt.Println(db.Close(ctx)) // drains the pool
	// Output:
	// 42 <nil>
	// <nil>
}

func ExampleModule() {
	var db *fxdb.DB
	app := fx.New(fx.NopLogger,
		fxdb.Module,
		devdb.Module, // a throwaway server, if no setting names a database
		fx.Decorate(func(c fxdb.Config) fxdb.Config {
			c.PoolMax = 5
			return c
		}),
		fx.Populate(&db),
	)
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Panic(err)
	}
	fmt.Println(db.Stats().Max, db.Stats().Status)
	fmt.Println(app.Stop(ctx))
	// Output:
	// 5 healthy
	// <nil>
}

// A further database: the client takes *fxdb.DB unchanged.
func ExampleModuleNamed() {
	var greeter *Greeter
	app := fx.New(fx.NopLogger,
		devdb.Module,
		fxdb.ModuleNamed("reporting", // reads REPORTING_DATABASE_URL
			fxdb.Client("greeter", func(db *fxdb.DB) *Greeter { return &Greeter{db} }),
		),
		fx.Populate(&greeter),
	)
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Panic(err)
	}
	fmt.Println(greeter.Greet(acme()))
	fmt.Println(app.Stop(ctx))
	// Output:
	// hello, acme <nil>
	// <nil>
}

func ExampleConfig() {
	cfg := fxdb.Config{Host: "db.internal", Name: "shop", User: "shop_app", Password: "secret"}
	fmt.Println(strings.Contains(cfg.String(), "db.internal"), strings.Contains(cfg.String(), "secret"))
	// Output: true false
}
