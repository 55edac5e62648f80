package lifecycle_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/lifecycle"
)

// flight is one kind of work that can be under way when a stop comes.
type flight struct {
	name    string
	raw     bool   // on a connection of the pool itself
	waits   string // for the server, in pg_stat_activity's words; it notices when that is gone
	listens bool   // the drain ends it at once
	writes  bool   // a row that is there afterwards only if it finished

	// fly gets to where it stands still, says so, and finishes when its cell lets it.
	// It fails when its connection was taken from under it.
	fly func(f *flying) error
}

// flying is a flight in its cell. It holds a connection, on which it has committed
// a row.
type flying struct {
	flight
	*cell
	*pgxpool.Conn
	pid    uint32
	query  string // what a report has to say it ran last
	still  chan struct{}
	stood  sync.Once // closes still
	landed chan struct{}
	err    error // of fly, when landed is closed
}

var (
	background = context.Background()
	// selectMany is more than any buffer holds: the server waits for the reader.
	selectMany = "select repeat('x', 1000) from generate_series(1, 4000)"
	selectGate = fmt.Sprintf("select pg_advisory_xact_lock_shared(%d)", gateKey)
)

var flights = []flight{
	{name: "a running statement", waits: "advisory", writes: true, fly: func(f *flying) error {
		return f.runs(f.writeAnd(selectGate))
	}},
	{name: "rows half read", writes: true, fly: func(f *flying) error {
		f.query = f.writeAnd(selectMany)
		rows, err := f.Query(background, f.query)
		if err != nil {
			return err
		}
		return f.reads(rows)
	}},
	{name: "a batch half read", writes: true, fly: func(f *flying) error {
		var b pgx.Batch
		b.Queue(f.insert("written"))
		b.Queue(selectMany)
		f.query = selectMany
		results := f.SendBatch(background, &b)
		defer results.Close()
		if _, err := results.Exec(); err != nil {
			return err
		}
		rows, err := results.Query()
		if err != nil {
			return err
		}
		if err := f.reads(rows); err != nil {
			return err
		}
		return results.Close()
	}},
	{name: "a copy in", writes: true, fly: func(f *flying) error {
		f.query = `copy "work" from stdin`
		row := 0
		_, err := f.CopyFrom(background, pgx.Identifier{"work"}, []string{"flight", "state"},
			pgx.CopyFromFunc(func() ([]any, error) {
				if row++; row == 1 {
					return []any{f.name, "written"}, nil
				}
				f.standsStill()
				return nil, nil
			}))
		return err
	}},
	// pgx calls no tracer for these two.
	{name: "a copy out half read", fly: func(f *flying) error {
		return f.copyOut(selectMany, f.standsStill)
	}},
	{name: "a copy out that waits", waits: "advisory", fly: func(f *flying) error {
		f.inFlight()
		return f.copyOut(selectGate, func() {})
	}},
	{name: "an idle transaction", writes: true, fly: func(f *flying) error {
		tx, err := f.writesInTransaction()
		if err != nil {
			return err
		}
		f.standsStill()
		return tx.Commit(background)
	}},
	{name: "a transaction in a statement", waits: "advisory", writes: true, fly: func(f *flying) error {
		tx, err := f.writesInTransaction()
		if err != nil {
			return err
		}
		if err := f.runs(selectGate); err != nil {
			return err
		}
		return tx.Commit(background)
	}},
	{name: "a listener", waits: "ClientRead", listens: true, fly: func(f *flying) error {
		f.query = fmt.Sprintf("listen gate_%d", gateKey)
		if _, err := f.Exec(background, f.query); err != nil {
			return err
		}
		f.inFlight()
		_, err := f.Conn.Conn().WaitForNotification(background)
		return err
	}},
	{name: "a connection that is held", fly: func(f *flying) error {
		f.standsStill()
		return f.Ping(background)
	}},
	{name: "a raw connection that is held", raw: true, fly: func(f *flying) error {
		f.standsStill()
		return f.Ping(background)
	}},
	{name: "a raw connection in a statement", raw: true, waits: "advisory", writes: true, fly: func(f *flying) error {
		return f.runs(f.writeAnd(selectGate))
	}},
}

// takeOff runs the flight in a goroutine and returns when it stands still.
func takeOff(t *testing.T, c *cell, what flight) *flying {
	f := &flying{flight: what, cell: c, still: make(chan struct{}), landed: make(chan struct{})}
	go func() {
		defer close(f.landed)
		f.err = f.run()
	}()
	select {
	case <-f.still:
	case <-f.landed:
		t.Fatalf("%s did not get to stand still: %v", f.name, f.err)
	case <-time.After(hang):
		t.Fatalf("%s did not get to stand still within %s", f.name, hang)
	}
	if f.waits != "" {
		c.WaitFor(t, "select wait_event is not distinct from $2 from pg_stat_activity where pid = $1", f.pid, f.waits)
	}
	return f
}

func (f *flying) run() (err error) {
	if f.raw {
		f.Conn, err = f.m.Pool().Acquire(background)
	} else {
		f.Conn, err = f.m.Acquire(background, lifecycle.Request{Client: f.name, Tenant: "acme"})
	}
	if err != nil {
		return err
	}
	defer f.Release()
	f.pid = f.Conn.Conn().PgConn().PID()
	f.query = f.insert("committed")
	if _, err := f.Exec(background, f.query); err != nil {
		return err
	}
	return f.fly(f)
}

// inFlight says that the flight has got to where it stands still.
func (f *flying) inFlight() { f.stood.Do(func() { close(f.still) }) }

// standsStill is for flights that the client holds up.
func (f *flying) standsStill() {
	f.inFlight()
	<-f.gate
}

// runs is for flights that the server holds up.
func (f *flying) runs(query string) error {
	f.query = query
	f.inFlight()
	_, err := f.Exec(background, query)
	return err
}

// reads stands still after the first row.
func (f *flying) reads(rows pgx.Rows) error {
	defer rows.Close()
	for rows.Next() {
		f.standsStill()
	}
	return rows.Err()
}

func (f *flying) copyOut(query string, write func()) error {
	_, err := f.Conn.Conn().PgConn().CopyTo(background, writer(write), "copy ("+query+") to stdout")
	return err
}

type writer func()

func (w writer) Write(b []byte) (int, error) {
	w()
	return len(b), nil
}

func (f *flying) writesInTransaction() (pgx.Tx, error) {
	tx, err := f.Begin(background)
	if err != nil {
		return nil, err
	}
	f.query = f.insert("written")
	_, err = tx.Exec(background, f.query)
	return tx, err
}

func (f *flying) insert(state string) string {
	return fmt.Sprintf("insert into work values ('%s', '%s')", f.name, state)
}

// writeAnd writes in the same statement as query.
func (f *flying) writeAnd(query string) string {
	return "with written as (" + f.insert("written") + ") " + query
}
