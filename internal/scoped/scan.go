package scoped

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Scan reads the first row into dest, and ends the flight.
func (f *Flight) Scan(dest []any) error {
	if len(dest) == 1 {
		if _, ok := dest[0].(pgx.RowScanner); ok { // a RowScanner needs rows
			rows, err := f.Query()
			if err != nil {
				err, _ = RanWith(err)
				return err
			}
			ended := false
			defer func() {
				if !ended { // a panic
					_ = f.End(rows.CommandTag(), nil)
				}
			}()
			err = scanOne(rows, dest)
			ended = true
			return f.End(rows.CommandTag(), err)
		}
	}
	result, err := f.receive()
	if err != nil {
		return f.End(pgconn.CommandTag{}, err)
	}
	ended := false
	defer func() {
		if !ended { // a panic
			_ = f.End(pgconn.CommandTag{}, nil)
		}
	}()
	tag, err := scanResult(f.conn.TypeMap(), result, dest)
	ended = true
	return f.End(tag, err)
}

// scanResult reads the first row as pgx.Conn.QueryRow does, without the allocation of
// Rows. result is nil for an empty statement.
func scanResult(types *pgtype.Map, result *pgconn.ResultReader, dest []any) (tag pgconn.CommandTag, err error) {
	if result == nil {
		return tag, pgx.ErrNoRows
	}
	for _, d := range dest {
		if _, ok := d.(*pgtype.DriverBytes); ok {
			err = errDriverBytes
		}
	}
	if err == nil {
		if result.NextRow() {
			err = pgx.ScanRow(types, result.FieldDescriptions(), result.Values(), dest...)
		} else {
			err = pgx.ErrNoRows
		}
	}
	// The server's error comes first, because the error may follow a row.
	tag, closeErr := result.Close()
	if closeErr != nil && (err == nil || errors.Is(err, pgx.ErrNoRows)) {
		err = closeErr
	}
	return tag, err
}

var errDriverBytes = errors.New("cannot scan into *pgtype.DriverBytes from QueryRow")

// scanOne reads the first row as pgx.Conn.QueryRow does.
func scanOne(rows pgx.Rows, dest []any) error {
	defer rows.Close()
	for _, d := range dest {
		if _, ok := d.(*pgtype.DriverBytes); ok {
			return errDriverBytes
		}
	}
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := rows.Scan(dest...); err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}
