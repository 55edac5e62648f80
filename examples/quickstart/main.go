// Quickstart: add the module, inject the pool, swap it in a test.
//
//	go run ./examples/quickstart
//	go test ./examples/quickstart
package main

import (
	"context"
	"embed"
	"fmt"
	"log"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/tenant"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Notes is a database client.
type Notes struct{ db *fxdb.DB }

// NewNotes takes the shared pool: inject.
func NewNotes(db *fxdb.DB) *Notes { return &Notes{db} }

// Add stores a note and returns how many the tenant in ctx has now.
func (n *Notes) Add(ctx context.Context, text string) (count int, err error) {
	if _, err = n.db.Exec(ctx, "insert into notes.notes (body) values ($1)", text); err != nil {
		return 0, err
	}
	err = n.db.QueryRow(ctx, "select count(*) from notes.notes").Scan(&count)
	return count, err
}

// Module is the application: add the pool, then each client of it.
var Module = fx.Options(
	fxdb.Module,
	fxdb.Migrations("notes", migrations),
	fxdb.Client("notes", NewNotes, fxdb.RequireTenant()),
)

func main() {
	var notes *Notes
	app := fx.New(Module, devdb.Module, fx.Provide(zap.NewProduction), fx.NopLogger, fx.Populate(&notes))
	ctx := context.Background()
	if err := app.Start(ctx); err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"acme", "acme", "globex"} {
		n, err := notes.Add(tenant.NewContext(ctx, tenant.Identity{Tenant: name}), "hello")
		fmt.Println(name, "has", n, "notes", err)
	}
	if err := app.Stop(ctx); err != nil {
		log.Fatal(err)
	}
}
