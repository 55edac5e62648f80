package testkit_test

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/agentagency/onepool/testkit"
)

func ExampleAs() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		_, err := db.Exec(testkit.As(t, "acme"), "insert into notes.notes (body) values ('hello')")
		fmt.Println("written, error:", err)
		testkit.RequireCount(testkit.As(t, "globex"), t, db, 0, "notes.notes")
	}
	run(test)
	// Output: written, error: <nil>
}

func ExampleInsert() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		acme := testkit.As(t, "acme")
		testkit.Insert(acme, t, db, "notes.notes", testkit.Row{"body": "one"}, testkit.Row{"body": "two"})
		testkit.RequireRows(acme, t, db, []string{"one", "two"}, "select body from notes.notes order by body")
		fmt.Println("as wanted:", !t.Failed())
	}
	run(test)
	// Output: as wanted: true
}

func ExampleFixture() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		testkit.Fixture(t, db, fstest.MapFS{"testdata/notes.sql": {Data: []byte(`
			select set_config('app.current_tenant', 'acme', true);
			insert into notes.notes (body) values ('hello');`)}}, "testdata/*.sql")
		testkit.RequireCount(testkit.As(t, "acme"), t, db, 1, "notes.notes")
		fmt.Println("as wanted:", !t.Failed())
	}
	run(test)
	// Output: as wanted: true
}

func ExampleTruncate() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		acme := testkit.As(t, "acme")
		testkit.Insert(acme, t, db, "notes.notes", testkit.Row{"body": "one"})
		testkit.Truncate(t, db, "notes.notes")
		testkit.RequireCount(acme, t, db, 0, "notes.notes")
		fmt.Println("empty:", !t.Failed())
	}
	run(test)
	// Output: empty: true
}

// A subtest uses the rows of the whole test, and leaves nothing behind.
func ExampleRolledBack() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		acme := testkit.As(t, "acme")
		tx := testkit.RolledBack(acme, t, db)
		tag, err := tx.Exec(acme, "insert into notes.notes (body) values ('hello')")
		fmt.Println(tag, err)
		testkit.RequireCount(acme, t, db, 0, "notes.notes")
		fmt.Println("not committed:", !t.Failed())
	}
	run(test)
	// Output:
	// INSERT 0 1 <nil>
	// not committed: true
}

func ExampleWaitFor() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		acme := testkit.As(t, "acme")
		written := make(chan error)
		go func() {
			_, err := db.Exec(acme, "insert into notes.notes (body) values ('hello')")
			written <- err
		}()
		testkit.WaitFor(acme, t, db, "select exists (select from notes.notes where body = $1)", "hello")
		fmt.Println("written, error:", <-written)
	}
	run(test)
	// Output: written, error: <nil>
}

// A struct has the columns' names. A failure lists the rows with - and +.
func ExampleRequireRows() {
	test := func(t testing.TB) {
		db := testkit.DB(t)
		type fruit struct {
			Name  string
			Count int
		}
		testkit.RequireRows(context.Background(), t, db, []fruit{{"apple", 2}, {"pear", 1}},
			"select * from (values ('apple', 2), ('pear', 1)) f (name, count)")
		fmt.Println("as wanted:", !t.Failed())
	}
	run(test)
	// Output: as wanted: true
}

func ExampleRequireCount() {
	test := func(t testing.TB) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		testkit.RequireCount(testkit.As(t, "acme"), t, db, 0, "notes.notes")
		fmt.Println("as wanted:", !t.Failed())
	}
	run(test)
	// Output: as wanted: true
}

// A test that fails logs the seed; TEST_SEED repeats the numbers.
func ExampleRand() {
	test := func(t testing.TB) {
		fmt.Println("the same in each run:", testkit.Rand(t).IntN(1000) == testkit.Rand(t).IntN(1000))
	}
	run(test)
	// Output: the same in each run: true
}

// An hour passes on the server, and the test does not wait.
func ExampleServerClock() {
	test := func(t testing.TB) {
		db := testkit.DB(t)
		clock := testkit.ServerClock(t, db)
		ends := clock.Now().Add(time.Hour)
		clock.Advance(2 * time.Hour)
		var over bool
		err := db.QueryRow(context.Background(), "select now() > $1", ends).Scan(&over)
		fmt.Println("over:", over, err)
	}
	run(test)
	// Output: over: true <nil>
}
