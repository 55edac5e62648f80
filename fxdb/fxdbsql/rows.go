package fxdbsql

import (
	"bytes"
	"database/sql/driver"
	"fmt"
	"io"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// rows are pgx's rows in database/sql's types.
type rows struct {
	rows   pgx.Rows
	types  *pgtype.Map
	fields []pgconn.FieldDescription
	names  []string
}

func newRows(r pgx.Rows) *rows {
	own := &rows{rows: r, types: r.TypeMap(), fields: r.FieldDescriptions()}
	own.names = make([]string, len(own.fields))
	for i, f := range own.fields {
		own.names[i] = f.Name
	}
	return own
}

func (r *rows) Columns() []string { return r.names }

// Close reads the remaining rows, and may return the error of the commit.
func (r *rows) Close() error {
	r.rows.Close()
	return r.rows.Err()
}

// Next returns the error of the commit too: rows.Err does not show the error of Close.
func (r *rows) Next(dest []driver.Value) error {
	if !r.rows.Next() {
		if err := r.Close(); err != nil {
			return err
		}
		return io.EOF
	}
	for i, raw := range r.rows.RawValues() {
		v, err := r.value(&r.fields[i], raw)
		if err != nil {
			return fmt.Errorf("fxdbsql: column %q: %w", r.fields[i].Name, err)
		}
		dest[i] = v
	}
	return nil
}

func (r *rows) value(f *pgconn.FieldDescription, raw []byte) (driver.Value, error) {
	if raw == nil {
		return nil, nil
	}
	switch f.DataTypeOID {
	case pgtype.JSONOID, pgtype.JSONBOID, pgtype.XMLOID:
		return bytes.Clone(raw), nil
	}
	if _, binary := formats[f.DataTypeOID]; binary {
		if t, ok := r.types.TypeForOID(f.DataTypeOID); ok {
			return t.Codec.DecodeDatabaseSQLValue(r.types, f.DataTypeOID, f.Format, raw)
		}
	}
	return string(raw), nil
}
