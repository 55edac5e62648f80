package scoped

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// statementsKey finds a connection's statements in pgconn's CustomData. The data belongs
// to the holder of the connection and needs no lock.
const statementsKey = "onepool.statements"

// statements are the prepared statements of a connection for flights, the most recently
// used first. Code outside pgx can't reach pgx's own cache. pgx's cache also forgets every
// statement of a failed batch, the scope's included.
type statements struct {
	capacity int
	known    map[statementKey]*list.Element // of *statement
	recent   list.List
	last     [2]*list.Element // the scope and the statement found last, by rank
	gone     []string         // names on the server that nothing uses any more
	named    int              // how many names were given
	refused  string           // the text that could not be prepared
	unsent   bool             // the connection broke before a statement was sent

	params pgx.ExtendedQueryBuilder // reused: a connection runs one flight at a time
	values [][]byte                 // of the scope, the same
	text   []byte
}

// statementKey is a statement's text. A statement that is only described has no name on
// the server.
type statementKey struct {
	sql   string
	named bool
	scope bool
}

type statement struct {
	key statementKey
	*pgconn.StatementDescription
}

func statementsOf(conn *pgx.Conn, capacity int) *statements {
	data := conn.PgConn().CustomData()
	st, ok := data[statementsKey].(*statements)
	if !ok {
		st = &statements{capacity: max(capacity, 2), known: make(map[statementKey]*list.Element)}
		data[statementsKey] = st
	}
	return st
}

// Forget forgets all statements of a connection on which DISCARD ALL ran.
func Forget(conn *pgx.Conn) { delete(conn.PgConn().CustomData(), statementsKey) }

// use is a statement of an exchange. prepare finds or prepares the statement.
type use struct {
	key statementKey
	*pgconn.StatementDescription
}

// find returns a known statement, and notes the use; nil for a new statement.
func (st *statements) find(k statementKey) *pgconn.StatementDescription {
	last := &st.last[rank(k)]
	if *last != nil { // most statements repeat, and a map would hash the whole text
		if s := (*last).Value.(*statement); s.key == k {
			return s.StatementDescription
		}
	}
	e, ok := st.known[k]
	if !ok {
		return nil
	}
	st.noteLast()
	st.recent.MoveToFront(e)
	*last = e
	return e.Value.(*statement).StatementDescription
}

// noteLast notes the uses that find has not noted.
func (st *statements) noteLast() {
	for _, e := range st.last {
		if e != nil {
			st.recent.MoveToFront(e)
		}
	}
}

func (st *statements) has(k statementKey) bool { return st.known[k] != nil }

func (st *statements) put(k statementKey, sd *pgconn.StatementDescription) {
	st.known[k] = st.recent.PushFront(&statement{k, sd})
}

func (st *statements) forget(k statementKey) {
	e, ok := st.known[k]
	if !ok {
		return
	}
	st.recent.Remove(e)
	if last := &st.last[rank(k)]; *last == e {
		*last = nil
	}
	delete(st.known, k)
	if k.named {
		st.gone = append(st.gone, e.Value.(*statement).Name)
	}
}

// ofAnyStatement are the codes of an error that may be the scope's as well: the scope has
// no tables whose schema can change.
var ofAnyStatement = []string{"26000", "0A000", "08P01"}

// ofParameters are the codes of an error that a parameter may cause after the table's
// types have changed.
var ofParameters = []string{"22003", "22007", "22008", "22P02", "22P03"}

// failed forgets a statement whose plan or parameters may no longer be right: after an
// error about the schema, a parameter, the statement itself or the server's inside. Any
// different error, for example a duplicate key, leaves the statement known.
func (st *statements) failed(err error, used []use) {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || len(pgErr.Code) < 2 {
		return
	}
	switch class := pgErr.Code[:2]; {
	case pgErr.Code == "42501": // a policy's or a right's refusal
		return
	case slices.Contains([]string{"08", "0A", "26", "42", "XX"}, class): // 08P01 if a described statement has new columns
	case !slices.Contains(ofParameters, pgErr.Code):
		return
	}
	for _, u := range used {
		if !u.key.scope || slices.Contains(ofAnyStatement, pgErr.Code) {
			st.forget(u.key)
		}
	}
}

// LostInPreparation reports whether the connection broke during the preparation of a
// flight's statements.
func LostInPreparation(conn *pgx.Conn) bool {
	st, ok := conn.PgConn().CustomData()[statementsKey].(*statements)
	return ok && st.unsent
}

// prepare finds the used statements, and prepares the new ones in one round trip. Only begin
// and s run before the preparation, so the caller may retry on a new connection. tracer, if not
// nil, learns of each statement as from pgx, but not of the scope.
func (st *statements) prepare(ctx context.Context, conn *pgx.Conn, tracer pgx.QueryTracer, s *Scope, begin block, used []use) error {
	var missing []statementKey
	for i := range used {
		u := &used[i]
		if u.StatementDescription = st.find(u.key); u.StatementDescription == nil && !slices.Contains(missing, u.key) {
			missing = append(missing, u.key)
		}
	}
	if missing == nil {
		return nil
	}
	st.makeRoom(len(missing), len(used))
	if err := st.prepareMissing(ctx, conn, tracer, s, begin, missing); err != nil {
		return err
	}
	for i := range used {
		used[i].StatementDescription = st.find(used[i].key)
	}
	return nil
}

// prepareMissing prepares statements in one round trip, and traces the preparations.
func (st *statements) prepareMissing(ctx context.Context, conn *pgx.Conn, tracer pgx.QueryTracer, s *Scope, begin block, missing []statementKey) (err error) {
	slices.SortStableFunc(missing, func(a, b statementKey) int { // s runs after its preparation
		return cmp.Compare(rank(a), rank(b))
	})
	names := make([]string, len(missing))
	for i, k := range missing {
		if k.named {
			names[i] = st.newName()
		}
	}
	if t, ok := tracer.(pgx.PrepareTracer); ok {
		for i, k := range missing {
			if !k.scope {
				traced := t.TracePrepareStart(ctx, conn, pgx.TracePrepareStartData{Name: names[i], SQL: k.sql})
				defer func() { t.TracePrepareEnd(traced, conn, pgx.TracePrepareEndData{Err: err}) }()
			}
		}
	}
	p := conn.PgConn().StartPipeline(ctx)
	scopeAt, err := st.sendMissing(p, s, begin, missing, names)
	if err == nil {
		err = st.readMissing(p, begin, missing, names, scopeAt)
	}
	if closeErr := p.Close(); err == nil {
		err = closeErr
	}
	if conn.IsClosed() {
		return lostBefore(conn, st, err)
	}
	st.gone = st.gone[:0]
	return err
}

// sendMissing sends the preparations, and s before the first statement: the server may have to
// wait for a lock to parse a statement, and looks up names as the session's role. scopeAt is
// the number of the preparation that s precedes, or len(missing) without s.
func (st *statements) sendMissing(p *pgconn.Pipeline, s *Scope, begin block, missing []statementKey, names []string) (scopeAt int, err error) {
	for _, name := range st.gone {
		p.SendDeallocate(name)
	}
	if begin.sql != "" {
		p.SendQueryParams(begin.sql, nil, nil, nil, nil)
	}
	scopeAt = len(missing)
	for i, k := range missing {
		if !k.scope && !s.IsZero() && scopeAt > i {
			scopeAt = i
			name := ""
			if at := slices.Index(missing[:i], s.template.key()); at >= 0 {
				name = names[at]
			}
			st.sendScope(p, s, name)
		}
		p.SendPrepare(names[i], k.sql, nil)
	}
	return scopeAt, p.Sync()
}

// readMissing reads the answers to sendMissing, and notes the prepared statements.
func (st *statements) readMissing(p *pgconn.Pipeline, begin block, missing []statementKey, names []string, scopeAt int) error {
	for range st.gone {
		if _, err := p.GetResults(); err != nil {
			return err
		}
	}
	if begin.sql != "" {
		if err := readResult(p); err != nil {
			return err
		}
	}
	for i, k := range missing {
		if i == scopeAt {
			if err := readResult(p); err != nil {
				return err
			}
		}
		result, err := p.GetResults()
		if err != nil {
			if !k.scope {
				st.refused = k.sql
			}
			return err
		}
		sd := result.(*pgconn.StatementDescription)
		sd.Name, sd.SQL = names[i], k.sql
		st.put(k, sd)
	}
	return nil
}

// rank returns 0 for a scope and 1 for a statement: scopes are prepared first.
func rank(k statementKey) int {
	if k.scope {
		return 0
	}
	return 1
}

// sendScope sends s. name is the name of the scope's statement if the same flight prepares
// the statement.
func (st *statements) sendScope(p *pgconn.Pipeline, s *Scope, name string) {
	values := st.scopeValues(s)
	if name != "" {
		p.SendQueryPrepared(name, values, nil, nil)
	} else if sd := st.find(s.template.key()); sd != nil {
		p.SendQueryStatement(sd, values, nil, nil)
	} else {
		p.SendQueryParams(s.template.sql, values, nil, nil, nil)
	}
}

func readResult(p *pgconn.Pipeline) error {
	result, err := p.GetResults()
	if err == nil {
		_, err = result.(*pgconn.ResultReader).Close()
	}
	return err
}

// makeRoom forgets the least recently used statements. The server keeps no more statements
// than pgx would, and all statements of the current flight.
func (st *statements) makeRoom(missing, wanted int) {
	st.noteLast()
	for spare := st.recent.Len() + missing - max(st.capacity, wanted); spare > 0; spare-- {
		st.forget(st.recent.Back().Value.(*statement).key)
	}
}

func (st *statements) newName() string {
	st.named++
	return "onepool_" + strconv.Itoa(st.named)
}

// scopeValues returns the scope's parameters on the wire. The next call overwrites the values.
func (st *statements) scopeValues(s *Scope) [][]byte {
	if st.text == nil { // an empty value must not be nil, which means NULL
		st.text = make([]byte, 0, 64)
	}
	st.text, st.values = st.text[:0], st.values[:0]
	for i := range s.template.list {
		from := len(st.text)
		st.text = s.template.list[i].append(st.text, s)
		st.values = append(st.values, st.text[from:len(st.text):len(st.text)])
	}
	return st.values
}

// addScope adds the scope to the batch: by name if pgx caches statements, else as text, with a
// nil sd. A pooler accepts a text too.
func (st *statements) addScope(b *pgconn.Batch, s *Scope, sd *pgconn.StatementDescription) {
	values := st.scopeValues(s)
	if sd != nil {
		b.ExecStatement(sd, values, nil, nil)
		return
	}
	b.ExecParams(s.template.sql, values, nil, nil, nil)
}

// errTooManyParams has pgx's words.
var errTooManyParams = fmt.Errorf("extended protocol limited to %d parameters", math.MaxUint16)

// add appends a statement to the batch. sd is the description of a statement that prepare found.
func (st *statements) add(b *pgconn.Batch, conn *pgx.Conn, q query, sd *pgconn.StatementDescription) error {
	if sd == nil {
		sd = q.byCaller
	}
	if err := st.params.Build(conn.TypeMap(), sd, q.args); err != nil {
		st.forget(q.key()) // the table may have new types
		return err
	}
	p := &st.params
	if len(p.ParamValues) > math.MaxUint16 { // pgconn's batch would complain of the formats
		return errTooManyParams
	}
	formats := p.ResultFormats
	switch {
	case q.formats != nil:
		formats = q.formats
	case q.formatsByOID != nil && sd != nil:
		formats = make([]int16, len(sd.Fields))
		for i, f := range sd.Fields {
			formats[i] = q.formatsByOID[f.DataTypeOID]
		}
	}
	switch {
	case sd == nil:
		b.ExecParams(q.sql, p.ParamValues, nil, p.ParamFormats, formats)
	case q.byCaller != nil || q.mode == pgx.QueryExecModeCacheStatement:
		b.ExecStatement(sd, p.ParamValues, p.ParamFormats, formats)
	default:
		b.ExecParams(q.sql, p.ParamValues, sd.ParamOIDs, p.ParamFormats, formats)
	}
	return nil
}
