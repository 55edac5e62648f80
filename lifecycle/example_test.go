package lifecycle_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/lifecycle"
)

func Example() {
	ctx := context.Background()
	server, err := devdb.Start(ctx)
	if err != nil {
		log.Fatal(err)
	}
	cfg, err := pgxpool.ParseConfig(server.URL())
	if err != nil {
		log.Fatal(err)
	}

	m, err := lifecycle.New(lifecycle.Config{Pool: cfg})
	if err != nil {
		log.Fatal(err)
	}
	if err := m.Start(ctx); err != nil {
		log.Fatal(err)
	}
	conn, err := m.Acquire(ctx, lifecycle.Request{Client: "reports", Tenant: "acme"})
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range m.Holders() {
		fmt.Println(h.Client, "holds a connection for", h.Tenant)
	}
	conn.Release()

	report, err := lifecycle.Drain(ctx, m, time.Second)
	fmt.Println(len(report.Cut), "holders cut off", err)
	if err := server.Stop(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// reports holds a connection for acme
	// 0 holders cut off <nil>
}
