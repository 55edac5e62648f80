package fxdb_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

func ExampleClient() {
	var greeter *Greeter
	_, stop := openNotes(
		fxdb.Client("greeter", func(db *fxdb.DB) *Greeter { return &Greeter{db} }, fxdb.RequireTenant()),
		fx.Populate(&greeter),
	)
	defer stop()

	fmt.Println(greeter.Greet(acme()))
	// Output: hello, acme <nil>
}

func ExampleRequireTenant() {
	db, stop := openNotes()
	defer stop()

	orders := db.Named("orders", fxdb.RequireTenant())
	_, err := orders.Exec(context.Background(), "select 1")
	fmt.Println(errors.Is(err, fxdb.ErrTenantRequired))
	_, err = orders.Exec(tenant.System(context.Background(), "a look at the catalog"), "select 1")
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

func ExampleTimeouts() {
	db, stop := openNotes()
	defer stop()

	reports := db.Named("reports", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: 5 * time.Minute}))
	var limit string
	err := reports.QueryRow(context.Background(), "show statement_timeout").Scan(&limit)
	fmt.Println(limit, err)
	// Output: 5min <nil>
}

func ExampleMaxConns() {
	db, stop := openNotes()
	defer stop()

	reports := db.Named("reports", fxdb.MaxConns(1))
	tx, err := reports.Begin(acme())
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err = reports.Ping(ctx) // the only connection of the client is in use
	fmt.Println(errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fxdb.ErrNestedAcquire))
	fmt.Println(tx.Rollback(context.Background()), db.Ping(context.Background()))
	// Output:
	// true
	// <nil> <nil>
}

func ExampleReserve() {
	db, stop := openNotes()
	defer stop()

	db.Named("checkout", fxdb.Reserve(2), fxdb.Weight(2))
	for _, c := range db.Stats().Clients {
		if c.Name == "checkout" {
			fmt.Println(c.Reserve, "connections reserved, weight", c.Weight)
		}
	}
	// Output: 2 connections reserved, weight 2
}

func ExampleDB_Named() {
	db, stop := openNotes()
	defer stop()

	tx, err := db.Named("orders").Begin(acme())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, h := range db.Monitor().Holders() {
		fmt.Println(h.Client, "holds a connection for", h.Tenant)
	}
	fmt.Println(tx.Rollback(context.Background()))
	// Output:
	// orders holds a connection for acme
	// <nil>
}

func ExampleDB_StatsHandler() {
	db, stop := openNotes()
	defer stop()

	answer := httptest.NewRecorder()
	db.StatsHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/stats", nil))
	var stats struct{ Max, Active int }
	err := json.NewDecoder(answer.Body).Decode(&stats)
	fmt.Println(answer.Code, stats.Max, "connections at most", err)
	// Output: 200 20 connections at most <nil>
}
