package backend

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// Look is a query that shows what a session keeps beyond the transaction: what a function, a
// trigger, an operator or a view can leave though no text shows the function's statements.
// The pool sends the Look behind each use of a connection, and reads the answer before the
// next use. See [NewLook].
type Look struct {
	parts   []lookPart
	message []byte // Parse, Bind, Execute and Sync of the query, without a name
}

// lookPart is a column of the answer.
type lookPart struct{ name, sql string }

// lookParts need no name that a session's search_path could lead elsewhere: the path of the
// session may be what a function has left.
//
// pg_depend has a row for each object of the temporary schema, and an index of the rows: a
// session without temporary objects pays for one descent of the index. 2615 is pg_namespace.
var lookParts = []lookPart{
	{"temporary objects", "(select pg_catalog.string_agg(pg_catalog.concat(d.classid, '.', d.objid), ',' order by d.classid, d.objid) from pg_catalog.pg_depend d" +
		" where d.refclassid operator(pg_catalog.=) 2615::pg_catalog.oid and d.refobjid operator(pg_catalog.=) pg_catalog.pg_my_temp_schema())"},
	{"prepared statements", "(select pg_catalog.string_agg(pg_catalog.concat(p.name, p.prepare_time), ',' order by p.name) from pg_catalog.pg_prepared_statements p where p.from_sql)"},
	{"cursors", "(select pg_catalog.string_agg(pg_catalog.concat(c.name, c.creation_time), ',' order by c.name) from pg_catalog.pg_cursors c where c.is_holdable)"},
	{"channels", "(select pg_catalog.string_agg(l, ',' order by l) from pg_catalog.pg_listening_channels() l)"},
}

// lookSettings decide which rows, errors and limits the next user meets, and are cheap to ask
// for by name: pg_settings takes longer than the whole look. The server reports further
// settings by itself.
var lookSettings = []string{
	"role", "search_path", "row_security", "session_replication_role",
	"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout",
	"default_transaction_isolation", "default_transaction_deferrable", "synchronous_commit", "plan_cache_mode", "work_mem",
	"transform_null_equals", "array_nulls", "bytea_output", "extra_float_digits", "lc_monetary", "lc_numeric", "lc_time", "default_text_search_config",
}

// releaseLocks releases the session's advisory locks: to show the locks, pg_locks would read
// the locks of all sessions.
const releaseLocks = "pg_catalog.pg_advisory_unlock_all()"

// NewLook returns the look at a session. custom are customised settings, such as
// app.current_tenant: the server lists no customised settings.
func NewLook(custom ...string) *Look {
	l := &Look{parts: slices.Clone(lookParts)}
	for _, name := range slices.Concat(lookSettings, custom) {
		// An unknown setting is null, and an unset setting is empty after a SET LOCAL.
		l.parts = append(l.parts, lookPart{name, fmt.Sprintf("pg_catalog.current_setting('%s', true)", strings.ReplaceAll(name, "'", "''"))})
	}
	columns := make([]string, len(l.parts))
	for i, p := range l.parts {
		columns[i] = p.sql
	}
	l.message = unnamed("/* onepool: what the session keeps */ select " + strings.Join(columns, ", ") + ", " + releaseLocks)
	return l
}

// unnamed returns the messages that run a statement without parameters and without a name.
func unnamed(sql string) (message []byte) {
	for _, m := range []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}} {
		message, _ = m.Encode(message) // fails only for a message of a gigabyte
	}
	return message
}

const (
	// lookMost bounds the wait for the answer to a look, from the sending on.
	lookMost = 5 * time.Second
	// lookUnwatched is how long a caller waits for the answer without watching the context.
	lookUnwatched = time.Millisecond
)

// looking is the look at one session.
type looking struct {
	parts []lookPart
	clean []string  // the answer of the new session
	due   int       // answers that the server owes: each ends with ReadyForQuery
	sent  time.Time // when the look was sent
	row   bool      // of the answer was read
	left  []string  // names of the parts that differ from clean
	err   *pgconn.PgError
}

// ErrLookFailed wraps the server's refusal of a look.
var ErrLookFailed = errors.New("the server refused to show what the session keeps")

// Meet takes the first look at a new session: later looks compare with the answer.
func (f *Facts) Meet(ctx context.Context) error {
	if err := f.Look(); err != nil {
		return err
	}
	_, err := f.Left(ctx)
	return err
}

// Look sends the look of Sessions, and in front of the look the text of [Facts.UndoWith]. Look
// does not wait for the answer: see [Facts.Left]. Look sends nothing on a connection that the
// pool cleans or closes.
func (f *Facts) Look() error {
	f.NothingBehind()
	if f == nil || f.sessions.Look == nil || f.Taint() != Plain || f.look.due > 0 {
		return nil
	}
	pc := f.conn.PgConn()
	if pc.IsClosed() || pc.IsBusy() || pc.TxStatus() != 'I' {
		return nil
	}
	message, answers := f.sessions.Look.message, 1
	if f.undo != "" {
		undo, _ := (&pgproto3.Query{String: f.undo}).Encode(nil)
		message, answers, f.undo = append(undo, message...), 2, ""
	}
	_, err := pc.Conn().Write(message)
	f.look.begin(answers)
	return err
}

// begin notes that a look was sent.
func (l *looking) begin(answers int) {
	l.due, l.sent, l.row, l.left, l.err = answers, time.Now(), false, nil, nil
}

// Left reads the answer to the look, if an answer is due. Left returns the names of what the
// session keeps that the new session had not. After the end of ctx the answer may still come:
// see [Facts.LookMayCome]. After any other error the connection is of no use.
func (f *Facts) Left(ctx context.Context) (left []string, err error) {
	if !f.LookIsDue() {
		return nil, nil
	}
	if err := f.readLook(ctx); err != nil {
		return nil, err
	}
	if f.look.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLookFailed, f.look.err)
	}
	return f.look.left, nil
}

// LookIsDue reports whether the server still owes the answer to a look. Until [Facts.Left] has
// read the answer, nothing else may be sent on the connection.
func (f *Facts) LookIsDue() bool { return f != nil && f.look.due > 0 }

// LookMayCome reports whether the connection waits for the answer to a look, and may wait on.
func (f *Facts) LookMayCome() bool {
	return f.LookIsDue() && !f.conn.IsClosed() && time.Since(f.look.sent) < lookMost
}

// readLook reads the answer. An answer that is read in part is read on by the next call. In
// most cases the answer has arrived: only a caller that waits longer watches ctx, because the
// context of an acquire counts as a waiter from then on.
func (f *Facts) readLook(ctx context.Context) error {
	socket := f.conn.PgConn().Conn()
	_ = socket.SetReadDeadline(time.Now().Add(lookUnwatched)) // an error shows in the read
	err := f.receiveLook(context.Background())
	_ = socket.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		watched, cancel := context.WithDeadline(ctx, f.look.sent.Add(lookMost))
		defer cancel()
		if err = f.receiveLook(watched); err != nil && ctx.Err() != nil {
			err = ctx.Err()
		}
	}
	if err == nil && !f.look.row && f.look.err == nil {
		err = errors.New("the look at the session gave no row")
	}
	return err
}

func (f *Facts) receiveLook(ctx context.Context) error {
	for f.look.due > 0 {
		message, err := f.conn.PgConn().ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		f.look.read(message)
	}
	return nil
}

func (l *looking) read(message pgproto3.BackendMessage) {
	switch message := message.(type) {
	case *pgproto3.DataRow:
		l.compare(message.Values)
	case *pgproto3.ErrorResponse:
		l.err = pgconn.ErrorResponseToPgError(message)
	case *pgproto3.ReadyForQuery:
		l.due--
	}
}

// compare takes the first row for that of a new session.
func (l *looking) compare(row [][]byte) {
	l.row = true
	first := l.clean == nil
	for i, p := range l.parts {
		switch {
		case first:
			l.clean = append(l.clean, string(row[i]))
		case string(row[i]) != l.clean[i]:
			l.left = append(l.left, p.name)
		}
	}
}
