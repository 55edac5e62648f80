package fxdb_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

func ExampleDB_Exec() {
	db, stop := openNotes()
	defer stop()

	tag, err := db.Exec(acme(), "insert into notes.notes (body) values ($1), ($2)", "hello", "again")
	fmt.Println(tag, err)
	globex := tenant.NewContext(context.Background(), tenant.Identity{Tenant: "globex"})
	tag, err = db.Exec(globex, "delete from notes.notes") // no WHERE: the policy keeps acme's rows
	fmt.Println(tag, err)
	// Output:
	// INSERT 0 2 <nil>
	// DELETE 0 <nil>
}

func ExampleDB_QueryRow() {
	db, stop := openNotes()
	defer stop()

	var n int
	err := db.QueryRow(acme(), "select count(*) from notes.notes").Scan(&n)
	fmt.Println(n, err)
	// Output: 0 <nil>
}

func ExampleCustomPlans() {
	db, stop := openNotes()
	defer stop()

	var mode string
	err := db.QueryRow(fxdb.CustomPlans(acme()), "show plan_cache_mode").Scan(&mode)
	fmt.Println(mode, err)
	err = db.QueryRow(acme(), "show plan_cache_mode").Scan(&mode)
	fmt.Println(mode, err)
	// Output:
	// force_custom_plan <nil>
	// auto <nil>
}

func ExampleDB_InTx() {
	db, stop := openNotes()
	defer stop()

	count := func() (n int) {
		_ = db.QueryRow(acme(), "select count(*) from notes.notes").Scan(&n)
		return n
	}
	add := func(tx pgx.Tx) error {
		_, err := tx.Exec(context.Background(), "insert into notes.notes (body) values ('hello')")
		return err // the transaction carries the tenant of InTx's context
	}
	fmt.Println(db.InTx(acme(), pgx.TxOptions{}, add), count())

	failed := errors.New("the card was refused")
	err := db.InTx(acme(), pgx.TxOptions{}, func(tx pgx.Tx) error { return errors.Join(add(tx), failed) })
	fmt.Println(errors.Is(err, failed), count())
	// Output:
	// <nil> 1
	// true 1
}

func ExampleDB_CopyFrom() {
	db, stop := openNotes()
	defer stop()

	rows := [][]any{{"first"}, {"second"}, {"third"}}
	n, err := db.CopyFrom(acme(), pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows(rows))
	fmt.Println(n, err)
	// Output: 3 <nil>
}

func ExampleDB_SendBatch() {
	db, stop := openNotes()
	defer stop()

	var n int
	b := &pgx.Batch{}
	b.Queue("insert into notes.notes (body) values ($1)", "hello")
	b.Queue("select count(*) from notes.notes").QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
	err := db.SendBatch(acme(), b).Close() // a single round trip, a single transaction
	fmt.Println(n, err)
	// Output: 1 <nil>
}

func ExampleDB_Acquire() {
	db, stop := openNotes()
	defer stop()

	_, err := db.Acquire(acme())
	fmt.Println(errors.Is(err, fxdb.ErrTenantNotCarried))

	ctx := tenant.System(context.Background(), "listen for orders")
	conn, err := db.Acquire(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Release()
	_, err = conn.Exec(ctx, "listen orders")
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

// The caller declares that the work may run twice.
func ExampleIdempotent() {
	db, stop := openNotes()
	defer stop()

	var n int
	err := db.QueryRow(fxdb.Idempotent(acme()), "select count(*) from notes.notes").Scan(&n)
	fmt.Println(n, err) // a lost connection would have cost a delay, not an error
	// Output: 0 <nil>
}
