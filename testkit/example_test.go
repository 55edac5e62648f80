package testkit_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/agentagency/onepool/testkit"
)

// In a test file this is a test; go test runs it here as an example.
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
