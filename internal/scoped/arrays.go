package scoped

import (
	"context"
	"encoding/binary"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Arrays holds rows as one array for each column, in the server's binary form, for one
// INSERT … SELECT FROM unnest.
type Arrays struct {
	SQL    string // the INSERT
	Usable bool   // every column has an array type; the caller clears Usable after a value without a binary form

	engine  *Engine
	st      *statements
	used    []use // the statement that asks for the types, and a prepared scope
	types   *pgtype.Map
	element []uint32 // types of the columns
	oids    []uint32 // of their arrays
	columns [][]byte
	ends    []int // of the columns' last whole row
	rows    int
	size    int
	undoes  bool // Send sets a savepoint before the INSERT, and releases the savepoint after the INSERT
}

// A copy in a transaction sends the savepoint in the same round trip.
const (
	copySavepoint = "savepoint onepool_copy"
	copyRelease   = "release savepoint onepool_copy"
	copyUndo      = "rollback to savepoint onepool_copy; " + copyRelease
)

// SendOrUndo is Send in a transaction. The transaction can go on after an error.
func (a *Arrays) SendOrUndo(ctx context.Context, conn *pgx.Conn) error {
	a.undoes = true
	err := a.Send(ctx, conn, &Scope{})
	if err != nil && !conn.IsClosed() {
		ctx, cancel := RollbackContext(ctx)
		defer cancel()
		_, _ = conn.Exec(ctx, copyUndo) // fails only if the transaction was aborted before
	}
	return err
}

// arrayHeader is the length of an array's header: dimensions, a flag for nulls, the
// element's type, and the length and lower bound of the only dimension, four bytes each.
const arrayHeader = 20

// Knows reports whether the connection knows the types of the columns of ask.
func (e *Engine) Knows(conn *pgx.Conn, ask string) bool {
	return statementsOf(conn, e.Capacity).has(statementKey{sql: ask})
}

// Arrays asks for the types of a table's columns with the statement ask, once on each
// connection, and prepares s in the same round trip. The result is not usable if a column's
// type has no array to unnest.
func (e *Engine) Arrays(ctx context.Context, conn *pgx.Conn, s *Scope, ask string) (*Arrays, error) {
	st := statementsOf(conn, e.Capacity)
	a := &Arrays{engine: e, st: st, used: []use{{key: statementKey{sql: ask}}}, types: conn.TypeMap()}
	if !s.IsZero() && e.names() {
		a.used = append(a.used, use{key: s.template.key()})
	}
	if err := st.prepare(ctx, conn, e.Tracer, s, block{}, a.used); err != nil {
		return nil, err
	}
	for _, f := range a.used[0].Fields {
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
	a.columns, a.ends, a.Usable = make([][]byte, len(a.oids)), make([]int, len(a.oids)), true
	a.reset()
	return a, nil
}

func (a *Arrays) reset() {
	a.rows, a.size = 0, 0
	for i := range a.columns {
		a.columns[i] = append(a.columns[i][:0], make([]byte, arrayHeader)...)
		a.ends[i] = arrayHeader
	}
}

// Rows returns the number of collected rows.
func (a *Arrays) Rows() int { return a.rows }

// Size returns the bytes of the collected rows.
func (a *Arrays) Size() int { return a.size }

// Add appends a row. Add returns false if a value of the row has no binary form.
func (a *Arrays) Add(values []any) bool {
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

// Send writes s and the collected rows. Send works below pgx, because pgx would first ask for
// the parameters' types, and reports to the tracers like pgx.
func (a *Arrays) Send(ctx context.Context, conn *pgx.Conn, s *Scope) (err error) {
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
	ctx = a.engine.Tracer.TraceQueryStart(ctx, conn, pgx.TraceQueryStartData{SQL: a.SQL})
	defer func() {
		a.engine.Tracer.TraceQueryEnd(ctx, conn, pgx.TraceQueryEndData{CommandTag: tag, Err: err})
	}()
	x := exchange{ends: true} // outside of a transaction
	x.open(ctx, a.engine, conn, s.Deadline)
	key := statementKey{sql: a.SQL, named: true}
	x.used = append(slices.Clone(a.used), use{key: key})
	if named := a.engine.names(); named && !a.isPrepared(key) {
		tag, err = a.prepareAndInsert(&x, s, key, formats)
	} else {
		tag = a.insert(&x, s, key, named, formats)
	}
	if err = x.finish(err); err != nil {
		return err
	}
	a.reset()
	return nil
}

// insert sends the rows to a known statement, or as a text. finish returns the error.
func (a *Arrays) insert(x *exchange, s *Scope, key statementKey, named bool, formats []int16) (tag pgconn.CommandTag) {
	b := &pgconn.Batch{}
	if !s.IsZero() {
		var sd *pgconn.StatementDescription
		if named {
			sd = a.st.find(s.template.key())
		}
		a.st.addScope(b, s, sd)
	}
	if a.undoes {
		b.ExecParams(copySavepoint, nil, nil, nil, nil)
	}
	if named {
		b.ExecStatement(a.st.find(key), a.columns, formats, nil)
	} else {
		b.ExecParams(a.SQL, a.columns, a.oids, formats, nil)
	}
	if a.undoes {
		b.ExecParams(copyRelease, nil, nil, nil, nil)
	}
	x.write(b)
	for x.results.NextResult() {
		if t, _ := x.results.ResultReader().Close(); t.Insert() {
			tag = t
		}
	}
	return tag
}

// isPrepared reports whether the connection knows the statement for the current types.
func (a *Arrays) isPrepared(key statementKey) bool {
	sd := a.st.find(key)
	if sd != nil && !slices.Equal(sd.ParamOIDs, a.oids) {
		a.st.forget(key)
		return false
	}
	return sd != nil
}

// prepareAndInsert prepares a statement of known types and inserts in the same round trip.
// The server parses and plans a text for longer than the server writes a hundred rows.
func (a *Arrays) prepareAndInsert(x *exchange, s *Scope, key statementKey, formats []int16) (tag pgconn.CommandTag, err error) {
	a.st.makeRoom(1, len(a.used)+1)
	x.sent = true
	p := x.conn.PgConn().StartPipeline(x.ctx)
	if !s.IsZero() {
		a.st.sendScope(p, s, "")
	}
	if a.undoes {
		p.SendQueryParams(copySavepoint, nil, nil, nil, nil)
	}
	name := a.st.newName()
	p.SendPrepare(name, a.SQL, a.oids)
	p.SendQueryPrepared(name, a.columns, formats, nil)
	if a.undoes {
		p.SendQueryParams(copyRelease, nil, nil, nil, nil)
	}
	if x.looks {
		x.addLook()
	}
	err = p.Sync()
	for ended := false; err == nil && !ended; {
		var result any
		switch result, err = p.GetResults(); result := result.(type) {
		case *pgconn.ResultReader:
			var t pgconn.CommandTag
			if t, err = result.Close(); t.Insert() {
				tag = t
			}
		case *pgconn.StatementDescription:
			result.Name, result.SQL = name, a.SQL
			a.st.put(key, result)
		default: // the end
			ended = true
		}
	}
	if closeErr := p.Close(); err == nil {
		err = closeErr
	}
	return tag, err
}
