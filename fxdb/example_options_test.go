package fxdb_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/tenant/rls"
)

func ExampleOnConnect() {
	db, stop := openNotes(fxdb.OnConnect("work_mem", func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "set work_mem = '8MB'")
		return err
	}))
	defer stop()

	var mem string
	err := db.QueryRow(acme(), "show work_mem").Scan(&mem)
	fmt.Println(mem, err)
	// Output: 8MB <nil>
}

func ExampleLoadTypes() {
	moods := fstest.MapFS{"1_mood.sql": {Data: []byte("-- +goose Up\ncreate type notes.mood as enum ('sad', 'glad');\n")}}
	db, stop := openNotes(
		fxdb.Migrations("moods", moods, fxdb.After("notes")),
		fxdb.OnConnect("types", fxdb.LoadTypes("notes.mood")),
	)
	defer stop()

	var all []string // an array of the enum needs the type
	err := db.QueryRow(acme(), "select enum_range(null::notes.mood)").Scan(&all)
	fmt.Println(all, err)
	// Output: [sad glad] <nil>
}

func ExampleMigrations() {
	tags := fstest.MapFS{"1_tags.sql": {Data: []byte("-- +goose Up\ncreate table notes.tags (name text);\n")}}
	db, stop := openNotes(fxdb.Migrations("tags", tags, fxdb.After("notes")))
	defer stop()

	var exists bool
	err := db.QueryRow(acme(), "select to_regclass('notes.tags') is not null").Scan(&exists)
	fmt.Println(exists, err)
	// Output: true <nil>
}

func ExampleConfigurePool() {
	db, stop := openNotes(fxdb.ConfigurePool(func(pc *pgxpool.Config) error {
		pc.ConnConfig.RuntimeParams["work_mem"] = "8MB"
		return nil
	}))
	defer stop()

	var mem string
	err := db.QueryRow(acme(), "show work_mem").Scan(&mem)
	fmt.Println(mem, err)
	// Output: 8MB <nil>
}

func ExampleRawPool() {
	db, stop := openNotes(fxdb.RawPool(fxdb.RawPoolSession)) // a library wants the *pgxpool.Pool
	defer stop()

	var tenant string
	err := db.Pool().QueryRow(acme(), "select current_setting('app.current_tenant')").Scan(&tenant)
	fmt.Println(tenant, err)
	// Output: acme <nil>
}

func ExampleTraceID() {
	type traceKey struct{}
	db, stop := openNotes(fxdb.TraceID(func(ctx context.Context) string {
		id, _ := ctx.Value(traceKey{}).(string)
		return id
	}))
	defer stop()

	ctx := context.WithValue(acme(), traceKey{}, "4bf92f3577b34da6")
	var id string
	err := db.QueryRow(ctx, "select current_setting('app.trace_id')").Scan(&id)
	fmt.Println(id, err)
	// Output: 4bf92f3577b34da6 <nil>
}

func ExampleDB_Listen() {
	db, stop := openNotes()
	defer stop()

	jobs, err := db.Listen(context.Background(), "jobs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer jobs.Close()
	fmt.Println(db.Notify(context.Background(), "jobs", "42"))
	n, err := jobs.Next(context.Background())
	fmt.Println(n.Channel, n.Payload, err)
	// Output:
	// <nil>
	// jobs 42 <nil>
}

func ExampleSubscription_Next() {
	db, stop := openNotes()
	defer stop()

	jobs, err := db.Listen(context.Background(), "jobs")
	if err != nil {
		fmt.Println(err)
		return
	}
	jobs.Close()
	for {
		n, err := jobs.Next(context.Background())
		if err != nil {
			fmt.Println(errors.Is(err, fxdb.ErrSubscriptionClosed))
			return
		}
		if n.Gap {
			continue // read the table of jobs anew
		}
		fmt.Println(n.Payload)
	}
	// Output: true
}

func ExampleAfterCommit() {
	db, stop := openNotes()
	defer stop()

	err := db.InTx(acme(), pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := fxdb.AfterCommit(tx, func(context.Context) { fmt.Println("the note is there") }); err != nil {
			return err
		}
		_, err := tx.Exec(context.Background(), "insert into notes.notes (body) values ('hello')")
		fmt.Println("before the commit")
		return err
	})
	fmt.Println(err)
	// Output:
	// before the commit
	// the note is there
	// <nil>
}

func ExampleDescribe() {
	db, stop := openNotes()
	defer stop()

	db.Named("reports", fxdb.MaxConns(2), fxdb.RequireTenant())
	for line := range strings.Lines(fxdb.Describe(db).String()) {
		if strings.Contains(line, "reports") || strings.HasPrefix(line, "migrations") {
			fmt.Print(line)
		}
	}
	// Output:
	// client     reports: pool shared, at most 2 connections, requires a tenant
	// migrations notes
}

func ExampleDB_SetLimits() {
	db, stop := openNotes()
	defer stop()

	reports := db.Named("reports", fxdb.MaxConns(3))
	fmt.Println(reports.SetLimits(fxdb.Limits{MaxConns: 2}), reports.Limits().MaxConns)
	var invalid *fxdb.ConfigError
	err := reports.SetLimits(fxdb.Limits{MaxConns: 1, Reserve: 2})
	fmt.Println(errors.As(err, &invalid), reports.Limits().MaxConns)
	// Output:
	// <nil> 2
	// true 2
}

// The tenant column of the application is account, and the start fails if a table lacks a policy.
func ExampleVerifyOptions() {
	shop := fstest.MapFS{"1_orders.sql": {Data: []byte("-- +goose Up\ncreate table orders (account text);\n")}}
	app := fx.New(fx.NopLogger, fxdb.Module, devdb.Module,
		fx.Decorate(func(c fxdb.Config) fxdb.Config {
			c.VerifyTenancy = fxdb.VerifyRequire
			return c
		}),
		fxdb.Migrations("shop", shop),
		fxdb.VerifyOptions(rls.Column("account")),
		fx.Invoke(func(*fxdb.DB) {}),
	)
	err := app.Start(context.Background())
	var unsound *fxdb.TenancyError
	fmt.Println(errors.As(err, &unsound), errors.Is(err, rls.ErrUnsound))
	// Output: true true
}

func ExampleShutdownOnUnhealthy() {
	app := fx.New(fx.NopLogger, fxdb.Module,
		fx.Replace(fxdb.Config{Host: "127.0.0.1", Port: 1, Name: "shop", User: "shop_app", Start: fxdb.StartDegrade}), // nobody answers
		fxdb.ShutdownOnUnhealthy(time.Millisecond),
	)
	stopped := app.Wait()
	fmt.Println(app.Start(context.Background()))
	fmt.Println("exit code", (<-stopped).ExitCode)
	fmt.Println(app.Stop(context.Background()))
	// Output:
	// <nil>
	// exit code 1
	// <nil>
}
