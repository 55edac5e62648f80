//go:build linux || darwin

package devdb_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb/devdb"
)

func ExampleStart() {
	ctx := context.Background()
	server, err := devdb.Start(ctx)
	if err != nil {
		log.Fatal(err) // says what to install or to set
	}

	conn, err := pgx.Connect(ctx, server.DatabaseURL(devdb.RoleApp, "postgres"))
	if err != nil {
		log.Fatal(err)
	}
	var who string
	if err := conn.QueryRow(ctx, "select current_user").Scan(&who); err != nil {
		log.Fatal(err)
	}
	fmt.Println(who)
	_ = conn.Close(ctx)
	if err := server.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: onepool_app
}
