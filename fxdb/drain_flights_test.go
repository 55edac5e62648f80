package fxdb_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
)

// drainFlight is one way to have a connection of the pool's when a stop comes.
type drainFlight struct {
	name    string
	raw     bool   // a use of the pool itself
	nobody  bool   // without a tenant
	listens bool   // the drain ends it at once
	waits   string // for the server, in pg_stat_activity's words: it notices when that is gone
	writes  bool   // a row that is there afterwards only if it finished

	// fly gets to where it stands still, says so, and finishes when its cell lets it. It
	// fails when its connection was taken from under it.
	fly func(f *drainCell) error
}

// drainMany is more than any buffer holds: the server waits for the reader.
const drainMany = "select repeat('x', 1000) from generate_series(1, 4000)"

// theirs is a statement that is not the caller's.
const theirs = "*"

var drainFlights = []drainFlight{
	{name: "a tenant's statement", waits: "advisory", writes: true, fly: func(f *drainCell) error {
		f.sends(f.writeAnd(f.lock()))
		_, err := f.db.Exec(f.acme, f.query)
		return err
	}},
	{name: "a tenant's rows", writes: true, fly: func(f *drainCell) error {
		return f.reads(f.db.Query(f.acme, f.writeAnd(drainMany)))
	}},
	{name: "rows", nobody: true, writes: true, fly: func(f *drainCell) error {
		return f.reads(f.db.Query(f.bare, f.writeAnd(drainMany)))
	}},
	{name: "a tenant's batch", writes: true, fly: func(f *drainCell) error { return f.readsBatch(f.acme, f.db) }},
	{name: "a batch", nobody: true, writes: true, fly: func(f *drainCell) error { return f.readsBatch(f.bare, f.db) }},
	{name: "a tenant's copy", writes: true, fly: func(f *drainCell) error { return f.copies(f.acme, f.db) }},
	{name: "a copy", nobody: true, writes: true, fly: func(f *drainCell) error { return f.copies(f.bare, f.db) }},
	{name: "a function in a transaction", writes: true, fly: func(f *drainCell) error {
		return f.db.InTx(f.acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(f.acme, f.insert("written")); err != nil {
				return err
			}
			f.standsStill()
			return nil
		})
	}},
	{name: "a transaction", writes: true, fly: func(f *drainCell) error { return f.transacts(f.db.Begin(f.acme)) }},
	{name: "a transaction's statement", waits: "advisory", writes: true, fly: func(f *drainCell) error {
		return f.db.InTx(f.acme, pgx.TxOptions{}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(f.acme, f.insert("written")); err != nil {
				return err
			}
			f.sends(f.lock())
			_, err := tx.Exec(f.acme, f.query)
			return err
		})
	}},
	{name: "a listener", nobody: true, listens: true, waits: "ClientRead", fly: func(f *drainCell) error {
		conn, err := f.db.Acquire(f.bare)
		if err != nil {
			return err
		}
		defer conn.Release()
		if _, err := conn.Exec(f.bare, "listen "+f.channel()); err != nil {
			return err
		}
		f.sends("listen " + f.channel())
		_, err = conn.Conn().WaitForNotification(f.bare)
		return err
	}},
	{name: "a connection that leaked", nobody: true, fly: func(f *drainCell) error {
		conn, err := f.db.Acquire(f.bare)
		if err != nil {
			return err
		}
		defer conn.Release()
		f.standsStill()
		return conn.Ping(f.bare)
	}},
	{name: "a hijacked connection", nobody: true, fly: func(f *drainCell) error {
		conn, err := f.db.Acquire(f.bare)
		if err != nil {
			return err
		}
		own := conn.Hijack()
		f.standsStill()
		return errors.Join(own.Ping(f.bare), own.Close(f.bare))
	}},
	{name: "callers that wait", nobody: true, fly: func(f *drainCell) error {
		conn, err := f.db.Acquire(f.bare)
		if err != nil {
			return err
		}
		defer conn.Release()
		defer f.waiters.Wait()
		for i, call := range []func() error{
			func() error { _, err := f.db.Exec(f.acme, "select 1"); return err },
			func() error { _, err := f.db.Begin(f.acme); return err },
			func() error { return f.db.Pool().Ping(f.bare) },
		} {
			f.waiters.Go(func() {
				if err := call(); !errors.Is(err, fxdb.ErrDraining) {
					f.t.Errorf("waiter %d: %v", i, err)
				}
			})
		}
		if !waitUntil(patience, func() bool { return f.db.Stats().Waiting == 3 }) {
			return errors.New("the callers do not wait")
		}
		f.standsStill()
		return conn.Ping(f.bare)
	}},
	{name: "a raw connection", raw: true, fly: func(f *drainCell) error {
		conn, err := f.db.Pool().Acquire(f.bare)
		if err != nil {
			return err
		}
		defer conn.Release()
		f.standsStill()
		return conn.Ping(f.bare)
	}},
	{name: "raw rows", raw: true, writes: true, fly: func(f *drainCell) error {
		return f.reads(f.db.Pool().Query(f.bare, f.writeAnd(drainMany)))
	}},
	{name: "a raw batch", raw: true, writes: true, fly: func(f *drainCell) error { return f.readsBatch(f.bare, f.db.Pool()) }},
	{name: "a raw copy", raw: true, writes: true, fly: func(f *drainCell) error { return f.copies(f.bare, f.db.Pool()) }},
	{name: "a raw transaction", raw: true, writes: true, fly: func(f *drainCell) error { return f.transacts(f.db.Pool().Begin(f.bare)) }},
	{name: "database/sql's rows", writes: true, fly: func(f *drainCell) error {
		door := fxdbsql.Open(f.db)
		defer door.Close()
		rows, err := door.QueryContext(f.acme, f.writeAnd(drainMany))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			f.standsStill()
		}
		return rows.Err()
	}},
	{name: "database/sql's transaction", writes: true, fly: func(f *drainCell) error {
		door := fxdbsql.Open(f.db)
		defer door.Close()
		tx, err := door.BeginTx(f.acme, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(f.acme, f.insert("written")); err != nil {
			return err
		}
		f.standsStill()
		return tx.Commit()
	}},
}

// standsStill is for flights that the client holds up.
func (f *drainCell) standsStill() {
	f.stood.Do(func() { close(f.still) })
	<-f.gate
}

// sends is for flights that the server holds up.
func (f *drainCell) sends(query string) {
	f.query = query
	f.stood.Do(func() { close(f.still) })
}

// reads stands still after the first row.
func (f *drainCell) reads(rows pgx.Rows, err error) error {
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		f.standsStill()
	}
	return rows.Err()
}

func (f *drainCell) readsBatch(ctx context.Context, db interface {
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}) error {
	var b pgx.Batch
	b.Queue(f.insert("written"))
	b.Queue(drainMany)
	f.query = drainMany
	results := db.SendBatch(ctx, &b)
	defer results.Close()
	if _, err := results.Exec(); err != nil {
		return err
	}
	if err := f.reads(results.Query()); err != nil {
		return err
	}
	return results.Close()
}

func (f *drainCell) copies(ctx context.Context, db interface {
	CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
}) error {
	f.query = theirs
	row := 0
	_, err := db.CopyFrom(ctx, pgx.Identifier{"work"}, []string{"flight", "state"}, pgx.CopyFromFunc(func() ([]any, error) {
		if row++; row == 1 {
			return []any{f.name, "written"}, nil
		}
		f.standsStill()
		return nil, nil
	}))
	return err
}

func (f *drainCell) transacts(tx pgx.Tx, err error) error {
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(f.bare) }()
	if _, err := tx.Exec(f.bare, f.insert("written")); err != nil {
		return err
	}
	f.standsStill()
	return tx.Commit(f.bare)
}

func (f *drainCell) lock() string {
	return fmt.Sprintf("select pg_advisory_xact_lock_shared(%d)", f.key)
}

func (f *drainCell) channel() string { return fmt.Sprintf("gate_%d", f.key) }

func (f *drainCell) insert(state string) string {
	f.query = fmt.Sprintf("insert into work (flight, state) values ($$%s$$, '%s')", f.name, state)
	return f.query
}

// writeAnd writes in the same statement as query.
func (f *drainCell) writeAnd(query string) string {
	f.query = "with written as (" + f.insert("written") + ") " + query
	return f.query
}
