package testkit_test

import (
	"context"
	"fmt"
	"testing"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// production is an application's graph.
var production = fx.Options(fxdb.Module, fxdb.Migrations("notes", notes))

// In a test file the function is a test. Here go test runs the function as an example.
func ExampleSwap() {
	run(func(t testing.TB) {
		var db *fxdb.DB
		app := fxtest.New(t, production, testkit.Swap(t), fx.Populate(&db), fx.NopLogger)
		app.RequireStart()
		defer app.RequireStop()
		fmt.Println(db.Ping(context.Background()))
	})
	// Output: <nil>
}

// Each table needs rows of two tenants: a table without rows proves nothing.
func ExampleRequireIsolation() {
	run(func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		for _, name := range []string{"acme", "globex"} {
			ctx := tenant.NewContext(context.Background(), tenant.Identity{Tenant: name})
			if _, err := db.Exec(ctx, "insert into notes.notes (body) values ('hello')"); err != nil {
				t.Fatal(err)
			}
		}
		fmt.Println(testkit.RequireIsolation(t, db))
	})
	// Output: [notes.notes]
}

// The owner writes fixtures and reads the catalog.
func ExampleOwnerPool() {
	run(func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		owner := testkit.OwnerPool(t, db)
		var forced bool
		err := owner.QueryRow(context.Background(), "select relforcerowsecurity from pg_class where oid = 'notes.notes'::regclass").Scan(&forced)
		fmt.Println(forced, err)
	})
	// Output: true <nil>
}
