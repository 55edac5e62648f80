package scoped

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Rows are the rows of a statement whose connection the caller keeps.
type Rows struct {
	pgx.Rows
	Flight Flight    // if a scope or a BEGIN stands before the statement
	Bare   *pgx.Conn // of a statement of CancelAtDeadline, without a flight
	// Ended, if not nil, runs after a flight without an error. Rows.Err returns the error.
	Ended func(context.Context, *pgx.Conn) error

	closed bool
	err    error // of the flight's end
	ahead  Lookahead
}

// Lookahead is the answer to a Next that ran before the caller's Next.
type Lookahead struct{ asked, has bool }

// Put keeps the answer for the caller's Next.
func (l *Lookahead) Put(has bool) { *l = Lookahead{asked: true, has: has} }

// Take returns the kept answer, once.
func (l *Lookahead) Take() (has, ok bool) {
	has, ok = l.has, l.asked
	*l = Lookahead{}
	return has, ok
}

// ReadAhead asks for the first row: Query then returns an error of the statement.
func (r *Rows) ReadAhead() error {
	has := r.Next()
	r.ahead.Put(has)
	if !has {
		return r.Err()
	}
	return nil
}

// Next goes to the next row. After the last row the flight ends.
func (r *Rows) Next() bool {
	if has, ok := r.ahead.Take(); ok {
		return has
	}
	if r.Rows.Next() {
		return true
	}
	r.Close()
	return false
}

// Close ends the flight.
func (r *Rows) Close() {
	r.Rows.Close()
	switch {
	case r.closed:
	case r.Flight.Sent():
		r.err = r.Flight.End(r.CommandTag(), r.Rows.Err())
		if r.err == nil && r.Ended != nil {
			r.err = r.Ended(r.Flight.ctx, r.Flight.conn)
		}
	case r.Bare != nil:
		r.err = Ended(r.Bare, r.Rows.Err())
	}
	r.closed = true
}

// Err returns the error of the statement or of the commit.
func (r *Rows) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.Rows.Err()
}
