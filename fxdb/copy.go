package fxdb

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// A tenant's CopyFrom sends so many rows, or bytes, in one round trip; of those that
// can only be inserted one by one, fewer.
const (
	copyRows    = 10_000
	copyBytes   = 8 << 20
	copyInserts = 1000
)

var errNoColumns = errors.New("fxdb: copy: no columns are named")

// CopyFrom writes many rows. Without a tenant it is COPY. With an identity in ctx or
// DB_TENANT_ROLE it inserts instead, in one transaction and a round trip per 10,000
// rows or 8 MB (per 1000 rows for columns of arrays and of types that pgx does not
// know, and for values that only the server can convert): the server refuses COPY
// FROM on a table with row-level security (SQLSTATE 0A000), and the policies must
// hold. So does the CopyFrom of a transaction. Either all rows are written or none;
// it returns how many.
func (db *DB) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return 0, err
	}
	if s.isZero() {
		conn, err := db.acquire(ctx, s, forCall, 0)
		if err != nil {
			return 0, err
		}
		defer conn.Release()
		return conn.Conn().CopyFrom(ctx, table, columns, src)
	}
	if db.inserts(s) && len(columns) == 0 {
		return 0, errNoColumns
	}
	// A source can be read once, so this must not be tried again.
	var n int64
	_, err = db.inTx(ctx, pgx.TxOptions{}, false, func(tx pgx.Tx) error {
		if db.inserts(s) {
			n, err = db.insertAll(ctx, tx, table, columns, src)
		} else {
			n, err = tx.CopyFrom(ctx, table, columns, src)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// inserts reports whether policies may hold what s stands before, so that COPY
// could be refused.
func (db *DB) inserts(s scope) bool { return s.tenant || db.core.cfg.TenantRole != "" }

// CopyFrom is DB.CopyFrom in the transaction. What fails undoes all of it: a tenant's
// transaction can go on after an error of the source.
func (t *transaction) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (n int64, err error) {
	if err := t.refuse(ctx); err != nil {
		return 0, err
	}
	if !t.inserts {
		return t.Tx.CopyFrom(ctx, table, columns, src)
	}
	if len(columns) == 0 {
		return 0, errNoColumns
	}
	err = pgx.BeginFunc(ctx, t.Tx, func(savepoint pgx.Tx) error {
		n, err = t.db.insertAll(ctx, savepoint, table, columns, src)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

func (db *DB) insertAll(ctx context.Context, tx pgx.Tx, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (n int64, err error) {
	names, params := make([]string, len(columns)), make([]string, len(columns))
	for i, c := range columns {
		names[i], params[i] = pgx.Identifier{c}.Sanitize(), fmt.Sprintf("$%d", i+1)
	}
	of, into := strings.Join(names, ", "), strings.Join(params, ", ")
	insert := fmt.Sprintf("insert into %s (%s) ", table.Sanitize(), of)
	arrays, err := db.arrays(ctx, tx.Conn(), fmt.Sprintf("select %s from %s limit 0", of, table.Sanitize()))
	if err != nil {
		return 0, err
	}
	// New on this connection for each chunk, so it is not worth a preparation.
	arrays.sql = insert + "select * from unnest(" + into + ")"
	single := &inserts{sql: insert + "values (" + into + ")"}
	for row := int64(1); src.Next(); row++ {
		values, err := src.Values()
		if err != nil {
			return 0, err
		}
		if len(values) != len(columns) {
			return 0, fmt.Errorf("fxdb: copy: row %d has %d values for %d columns", row, len(values), len(columns))
		}
		if arrays.usable && !arrays.add(values) {
			// For good: a source has its values in one form.
			arrays.usable = false
			if err := arrays.send(ctx, db, tx.Conn()); err != nil {
				return 0, err
			}
		}
		switch {
		case !arrays.usable:
			if single.batch.Queue(single.sql, slices.Clone(values)...); single.batch.Len() == copyInserts {
				err = single.send(ctx, tx)
			}
		case arrays.rows == copyRows || arrays.size >= copyBytes:
			err = arrays.send(ctx, db, tx.Conn())
		}
		if err != nil {
			return 0, err
		}
		n++
	}
	if err := src.Err(); err != nil {
		return 0, err
	}
	if err := arrays.send(ctx, db, tx.Conn()); err != nil {
		return 0, err
	}
	return n, single.send(ctx, tx)
}

// inserts are rows that go one by one, in a batch.
type inserts struct {
	sql   string
	batch pgx.Batch
}

func (i *inserts) send(ctx context.Context, tx pgx.Tx) error {
	if i.batch.Len() == 0 {
		return nil
	}
	b := i.batch
	i.batch = pgx.Batch{}
	return tx.SendBatch(ctx, &b).Close()
}

// arrays are rows that go as one array for each column, in the server's binary form.
type arrays struct {
	sql     string
	st      *statements
	key     statementKey // of what the types were asked with
	types   *pgtype.Map
	element []uint32 // types of the columns
	oids    []uint32 // of their arrays
	columns [][]byte
	ends    []int // of the columns' last whole row
	rows    int
	size    int
	usable  bool
}

// arrayHeader is dimensions, a flag for nulls, the element's type, and the one
// dimension's length and lower bound: four bytes each.
const arrayHeader = 20

// arrays asks for the types of a table's columns, once on each connection. It is not
// usable where one has no array that could be unnested.
func (db *DB) arrays(ctx context.Context, conn *pgx.Conn, describe string) (*arrays, error) {
	st, key := statementsOf(conn, db.core.statements), statementKey{sql: describe}
	if err := st.prepare(ctx, conn, key); err != nil {
		return nil, err
	}
	a := &arrays{st: st, key: key, types: conn.TypeMap()}
	for _, f := range st.get(key).Fields {
		t, ok := a.types.TypeForOID(f.DataTypeOID)
		if !ok {
			return a, nil
		}
		array, ok := a.types.TypeForName("_" + t.Name)
		if !ok {
			return a, nil
		}
		if codec, ok := array.Codec.(*pgtype.ArrayCodec); !ok || codec.ElementType.OID != t.OID {
			return a, nil
		}
		a.element, a.oids = append(a.element, t.OID), append(a.oids, array.OID)
	}
	a.columns, a.ends, a.usable = make([][]byte, len(a.oids)), make([]int, len(a.oids)), true
	a.reset()
	return a, nil
}

func (a *arrays) reset() {
	a.rows, a.size = 0, 0
	for i := range a.columns {
		a.columns[i] = append(a.columns[i][:0], make([]byte, arrayHeader)...)
		a.ends[i] = arrayHeader
	}
}

// add takes a row, unless one of its values has no binary form here.
func (a *arrays) add(values []any) bool {
	for i, v := range values {
		at := len(a.columns[i])
		buf := binary.BigEndian.AppendUint32(a.columns[i], math.MaxUint32) // null
		encoded, err := a.types.Encode(a.element[i], pgtype.BinaryFormatCode, v, buf)
		if err != nil {
			for j := range i {
				a.columns[j] = a.columns[j][:a.ends[j]]
			}
			return false
		}
		if encoded != nil {
			binary.BigEndian.PutUint32(encoded[at:], uint32(len(encoded)-at-4))
			buf = encoded
		}
		a.columns[i] = buf
	}
	a.rows++
	a.size = 0
	for i, c := range a.columns {
		a.ends[i] = len(c)
		a.size += len(c)
	}
	return true
}

// send writes the rows that were taken. It goes below pgx, which would ask for the
// parameters' types first, and tells the tracers what pgx would have told them.
func (a *arrays) send(ctx context.Context, db *DB, conn *pgx.Conn) (err error) {
	if a.rows == 0 {
		return nil
	}
	formats := make([]int16, len(a.columns))
	for i, c := range a.columns {
		formats[i] = pgtype.BinaryFormatCode
		for j, v := range []uint32{1, 1, a.element[i], uint32(a.rows), 1} {
			binary.BigEndian.PutUint32(c[4*j:], v)
		}
	}
	var tag pgconn.CommandTag
	ctx = db.core.tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: a.sql})
	defer func() {
		db.core.tracer.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{CommandTag: tag, Err: err})
	}()
	tag, err = conn.PgConn().ExecParams(ctx, a.sql, a.columns, a.oids, formats, nil).Close()
	if err != nil {
		a.st.failed(err, a.key)
		return err
	}
	a.reset()
	return nil
}
