package testkit_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/agentagency/onepool/testkit"
)

// In a test file the function is a test. Here go test runs the function as an example.
func ExampleDB() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		var n int
		err := db.QueryRow(context.Background(), "select count(*) from notes.notes").Scan(&n)
		fmt.Println(n, "notes, error:", err)
	}
	run(test)
	// Output: 0 notes, error: <nil>
}

// run runs a test outside of go test's own.
func run(test func(testing.TB)) {
	testing.Benchmark(func(b *testing.B) {
		if b.N == 1 {
			test(b)
		}
	})
}

// A failure lists the texts and the callers: here the query of a loop.
func ExampleQueryBudget() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		ctx := asTenant(t, "acme")
		testkit.QueryBudget(t, db, 1, func() {
			var n int
			err := db.QueryRow(ctx, "select count(*) from notes.notes").Scan(&n)
			fmt.Println(n, "notes, error:", err)
		})
	}
	run(test)
	// Output: 0 notes, error: <nil>
}

func ExampleExplain() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("shop", orders))
		testkit.Explain(context.Background(), t, db, "select * from shop.orders where customer = $1", "c1").
			NoSeqScan("shop.orders").CostAtMost(1000)
		fmt.Println("an index fits:", !t.Failed())
	}
	run(test)
	// Output: an index fits: true
}

// The block calls the program's own methods, for two tenants.
func ExampleRequireIsolatedReads() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		testkit.RequireIsolatedReads(t, db, func() {
			for _, tenant := range []string{"acme", "globex"} {
				ctx := asTenant(t, tenant)
				_, err := db.Exec(ctx, "insert into notes.notes (body) values ('x')")
				fmt.Println("written, error:", err)
				oneByOne(ctx, t, db, 1)
			}
		})
		fmt.Println("isolated:", !t.Failed())
	}
	run(test)
	// Output:
	// written, error: <nil>
	// written, error: <nil>
	// isolated: true
}

// The server commits, and the program does not hear of the commit.
func ExampleFaulty() {
	test := func(t testing.TB) {
		db, network := testkit.Faulty(t, testkit.Migrations("notes", notes))
		ctx := asTenant(t, "acme")
		network.LoseAnswer()
		_, err := db.Exec(ctx, "insert into notes.notes (body) values ('x')")
		fmt.Println("the insert failed:", err != nil)
		var n int
		err = db.QueryRow(ctx, "select count(*) from notes.notes").Scan(&n)
		fmt.Println(n, "note, error:", err)
	}
	run(test)
	// Output:
	// the insert failed: true
	// 1 note, error: <nil>
}
