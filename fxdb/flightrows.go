package fxdb

import "github.com/jackc/pgx/v5"

// flightRows are the rows of a statement whose connection the caller keeps.
type flightRows struct {
	pgx.Rows
	flight     flight              // if a scope or a BEGIN stands before the statement
	ended      func(*flight) error // if not nil, runs after a flight without an error
	closed     bool
	err        error // of the flight's end
	ahead, has bool  // the next row was requested, and exists
}

// readAhead asks for the first row: Query then returns an error of the statement.
func (r *flightRows) readAhead() error {
	r.has = r.Next()
	r.ahead = true
	if !r.has {
		return r.Err()
	}
	return nil
}

func (r *flightRows) Next() bool {
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

func (r *flightRows) Close() {
	r.Rows.Close()
	if r.flight.results != nil && !r.closed {
		r.err = r.flight.end(r.CommandTag(), r.Rows.Err())
		if r.err == nil && r.ended != nil {
			r.err = r.ended(&r.flight)
		}
	}
	r.closed = true
}

func (r *flightRows) Err() error {
	if r.err != nil {
		return r.err
	}
	return r.Rows.Err()
}
