package main

import (
	"testing"

	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/testkit"
	_ "github.com/agentagency/onepool/testkit/container" // testkit takes a container if the machine has no server binaries
)

func TestTheReleaseWorks(t *testing.T) {
	var db *fxdb.DB
	app := fxtest.New(t, Module, testkit.Swap(t), fx.Populate(&db))
	app.RequireStart()
	defer app.RequireStop()
	if err := db.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}
