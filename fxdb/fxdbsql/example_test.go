package fxdbsql_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/tenant"
)

// Greeter knows database/sql and nothing of onepool.
type Greeter struct{ db *sql.DB }

func NewGreeter(db *sql.DB) *Greeter { return &Greeter{db} }

func (g *Greeter) Greet(ctx context.Context) (greeting string, err error) {
	err = g.db.QueryRowContext(ctx, "select 'hello, ' || current_setting('app.current_tenant')").Scan(&greeting)
	return greeting, err
}

func Example() {
	var greeter *Greeter
	app := fx.New(fx.NopLogger,
		fxdb.Module,
		devdb.Module, // a throwaway server where no setting names a database
		fx.Module("greeter",
			fxdb.Named("greeter", fxdb.RequireTenant()),
			fxdbsql.Module,
			fx.Provide(NewGreeter),
		),
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

// Without fx: open it over the pool, and close it before the pool.
func ExampleOpen() {
	ctx := context.Background()
	server, err := devdb.Start(ctx) // a throwaway server
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Stop(ctx) }()
	pool, err := fxdb.Open(ctx, fxdb.Config{URL: server.DatabaseURL(devdb.RoleApp, "postgres")})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = pool.Close(ctx) }()
	db := fxdbsql.Open(pool.Named("reports"))
	defer db.Close()

	tx, err := db.BeginTx(tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"}), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	var name string
	err = tx.QueryRow("select current_setting('app.current_tenant')").Scan(&name)
	fmt.Println("in the transaction of", name, err)
	for _, h := range pool.Monitor().Holders() {
		fmt.Println("held by", h.Client, "of", h.Tenant)
	}
	fmt.Println(tx.Commit())
	// Output:
	// in the transaction of acme <nil>
	// held by reports of acme
	// <nil>
}
