package fxdb_test

import (
	"context"
	"fmt"
	"log"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/tenant"
)

// Greeter is a database client.
type Greeter struct{ db *fxdb.DB }

func (g *Greeter) Greet(ctx context.Context) (greeting string, err error) {
	err = g.db.QueryRow(ctx, "select 'hello, ' || current_setting('app.current_tenant')").Scan(&greeting)
	return greeting, err
}

func Example() {
	var greeter *Greeter
	app := fx.New(fx.NopLogger,
		fxdb.Module,
		devdb.Module, // a throwaway server, if no setting names a database
		fxdb.Client("greeter", func(db *fxdb.DB) *Greeter { return &Greeter{db} }, fxdb.RequireTenant()),
		fx.Populate(&greeter),
	)
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(greeter.Greet(tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"})))
	_, err := greeter.Greet(ctx)
	fmt.Println(err)
	if err := app.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// hello, acme <nil>
	// tenant required: put an identity into the context with tenant.NewContext, or use tenant.System for work that belongs to no tenant
}
