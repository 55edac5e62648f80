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

	closed     bool
	err        error // of the flight's end
	ahead, has bool  // the next row was requested, and exists
}

// ReadAhead asks for the first row: Query then returns an error of the statement.
func (r *Rows) ReadAhead() error {
	r.has = r.Next()
	r.ahead = true
	if !r.has {
		return r.Err()
	}
	return nil
}

// Next goes to the next row. After the last row the flight ends.
func (r *Rows) Next() bool {
	if r.ahead {
		r.ahead = false
		return r.has
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
