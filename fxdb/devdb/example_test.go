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
	defer func() { _ = server.Stop(ctx) }()

	conn, err := pgx.Connect(ctx, server.DatabaseURL(devdb.App, "postgres"))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var who string
	if err := conn.QueryRow(ctx, "select current_user").Scan(&who); err != nil {
		log.Fatal(err)
	}
	fmt.Println(who)
	// Output: onepool_app
}
