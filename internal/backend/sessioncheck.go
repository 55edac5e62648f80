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

// SessionCheck is a query that shows what a session keeps beyond the transaction: what a function, a
// trigger, an operator or a view can leave though no text shows the function's statements.
// The pool sends the SessionCheck after each use of a connection, and reads the answer before the
// next use. See [NewSessionCheck].
type SessionCheck struct {
	message []byte // Parse, Bind, Execute and Sync of the query, without a name
}

// checkedSettings decide which rows, errors and limits the next user meets. pg_settings takes
// longer than the whole check, and the server reports further settings by itself.
var checkedSettings = []string{
	"role", "search_path", "row_security", "session_replication_role",
	"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout",
	"default_transaction_isolation", "default_transaction_deferrable", "synchronous_commit", "plan_cache_mode", "work_mem",
	"transform_null_equals", "array_nulls", "bytea_output", "extra_float_digits", "lc_monetary", "lc_numeric", "lc_time", "default_text_search_config",
	"gin_fuzzy_search_limit", "xmlbinary", "xmloption", "timezone_abbreviations", "backslash_quote",
	"exit_on_error", "idle_session_timeout", "restrict_nonsystem_relation_kind",
}

// checkSQL returns a row "name=value" for each setting of an array, and for all that the session
// keeps. checkSQL has no name that a search_path could lead elsewhere: a function may have left the
// search_path.
//
// pg_depend has a row for each object of the temporary schema, and an index of the rows. 2615 is
// pg_namespace. The last row releases the session's advisory locks: to show the locks, pg_locks
// would read the locks of all sessions.
const checkSQL = `/* onepool: what the session keeps */
select pg_catalog.concat(n, '=', pg_catalog.current_setting(n, true)) from pg_catalog.unnest('{%s}'::pg_catalog.text[]) n
union all select pg_catalog.concat('a temporary object=', d.classid, '.', d.objid) from pg_catalog.pg_depend d
where d.refclassid operator(pg_catalog.=) 2615::pg_catalog.oid and d.refobjid operator(pg_catalog.=) pg_catalog.pg_my_temp_schema()
union all select pg_catalog.concat('a prepared statement=', p.name, p.prepare_time) from pg_catalog.pg_prepared_statements p where p.from_sql
union all select pg_catalog.concat('a cursor=', c.name, c.creation_time) from pg_catalog.pg_cursors c where c.is_holdable
union all select pg_catalog.concat('a channel=', l) from pg_catalog.pg_listening_channels() l
union all select pg_catalog.concat('advisory locks=', pg_catalog.pg_advisory_unlock_all())`

// NewSessionCheck returns the check of a session. custom are customised settings, such as
// app.current_tenant: the server lists no customised settings. An unset setting is empty, as
// after a SET LOCAL. The names hold no comma, brace or quote.
func NewSessionCheck(custom ...string) *SessionCheck {
	return &SessionCheck{unnamed(fmt.Sprintf(checkSQL, strings.Join(slices.Concat(checkedSettings, custom), ",")))}
}

// unnamed returns the messages that run a statement without parameters and without a name.
func unnamed(sql string) (message []byte) {
	for _, m := range []pgproto3.FrontendMessage{&pgproto3.Parse{Query: sql}, &pgproto3.Bind{}, &pgproto3.Execute{}, &pgproto3.Sync{}} {
		message, _ = m.Encode(message) // fails only for a message of a gigabyte
	}
	return message
}

const (
	// checkMost bounds the wait for the answer to a check, from the sending on.
	checkMost = 5 * time.Second
	// checkUnwatched is how long a caller waits for the answer without watching the context.
	checkUnwatched = time.Millisecond
)

// pendingCheck is the check of one session.
type pendingCheck struct {
	clean map[string]bool // the rows of the new session
	all   int             // how many rows the new session had
	due   int             // answers that the server owes: each ends with ReadyForQuery
	sent  time.Time       // when the check was sent, or the statement before had ended
	rows  int             // of the answer
	left  []string        // names of the rows that clean has not
	err   *pgconn.PgError
}

// ErrCheckFailed wraps the server's refusal of a check.
var ErrCheckFailed = errors.New("the server refused to show what the session keeps")

// errOpen is the error of a new session that can't take the first check.
var errOpen = errors.New("a connect hook has left a transaction open")

// Meet takes the first check of a new session: later checks compare with the answer.
func (f *Facts) Meet(ctx context.Context) error {
	if f == nil || f.sessions.Check == nil {
		return nil
	}
	err := f.SendCheck()
	if err == nil {
		_, err = f.Left(ctx)
	}
	if err == nil && f.check.clean == nil {
		err = errOpen
	}
	return err
}

// errNotAsNew is the error of a session that kept a setting through DISCARD ALL.
var errNotAsNew = errors.New("a setting differs from the new session's")

// MeetAgain takes the first check of a session that the pool has made as new, after [Facts.Cleaned]:
// the connect hooks ran again, and the objects of the hooks are new.
func (f *Facts) MeetAgain(ctx context.Context) error {
	if f == nil || f.sessions.Check == nil {
		return nil
	}
	was := f.check.clean
	f.check.clean = nil
	if err := f.Meet(ctx); err != nil {
		return err
	}
	for row := range f.check.clean {
		if !was[row] && !strings.HasPrefix(row, "a ") {
			return errNotAsNew
		}
	}
	return nil
}

// SendCheck sends the check of Sessions, and before the check the text of [Facts.UndoWith]. SendCheck
// does not wait for the answer: see [Facts.Left]. SendCheck sends nothing on a connection that the
// pool cleans or closes.
func (f *Facts) SendCheck() error {
	f.DropCheck()
	if f == nil || f.sessions.Check == nil {
		return nil
	}
	if f.check.due > 0 { // the check travelled with the last statement, which has ended
		f.check.sent = time.Now()
		return nil
	}
	if f.Cleanup() != NoCleanup {
		return nil
	}
	pc := f.conn.PgConn()
	if pc.IsClosed() || pc.IsBusy() || pc.TxStatus() != 'I' {
		return nil
	}
	message, answers := f.sessions.Check.message, 1
	if f.undo != "" {
		undo, _ := (&pgproto3.Query{String: f.undo}).Encode(nil)
		message, answers, f.undo = append(undo, message...), 2, ""
	}
	_, err := pc.Conn().Write(message)
	f.check.begin(answers)
	return err
}

// begin notes that a check was sent.
func (l *pendingCheck) begin(answers int) {
	l.due, l.sent, l.rows, l.left, l.err = answers, time.Now(), 0, nil, nil
}

// Left reads the answer to the check, if an answer is due. Left returns the names of what the
// session keeps that the new session had not. After the end of ctx the answer may still come:
// see [Facts.AnswerMayCome]. After any other error the connection is of no use.
func (f *Facts) Left(ctx context.Context) (left []string, err error) {
	if !f.CheckIsDue() {
		return nil, nil
	}
	if err := f.readCheck(ctx); err != nil {
		return nil, err
	}
	if f.check.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCheckFailed, f.check.err)
	}
	return f.check.compared(), nil
}

// CheckIsDue reports whether the server still owes the answer to a check. Until [Facts.Left] has
// read the answer, nothing else may be sent on the connection.
func (f *Facts) CheckIsDue() bool { return f != nil && f.check.due > 0 }

// AnswerMayCome reports whether the connection waits for the answer to a check, and may wait on.
func (f *Facts) AnswerMayCome() bool {
	return f.CheckIsDue() && !f.conn.IsClosed() && time.Since(f.check.sent) < checkMost
}

// readCheck reads the answer. An answer that is read in part is read on by the next call. In
// most cases the answer has arrived: only a caller that waits longer watches ctx, because the
// context of an acquire counts as a waiter from then on. The server sends the answer as a whole, so
// a caller waits for one message.
func (f *Facts) readCheck(ctx context.Context) error {
	for {
		if err := f.readArrived(); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		watched, cancel := context.WithDeadline(ctx, f.check.sent.Add(checkMost))
		err := f.readMessage(watched)
		cancel()
		if err != nil && ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err
		}
	}
}

// readArrived reads the rest of the answer, and waits for checkUnwatched.
func (f *Facts) readArrived() (err error) {
	socket := f.conn.PgConn().Conn()
	_ = socket.SetReadDeadline(time.Now().Add(checkUnwatched)) // an error shows in the read
	for f.check.due > 0 && err == nil {
		err = f.readMessage(context.Background())
	}
	_ = socket.SetReadDeadline(time.Time{})
	return err
}

func (f *Facts) readMessage(ctx context.Context) error {
	message, err := f.conn.PgConn().ReceiveMessage(ctx)
	if err == nil {
		f.check.read(message)
	}
	return err
}

func (l *pendingCheck) read(message pgproto3.BackendMessage) {
	switch message := message.(type) {
	case *pgproto3.DataRow:
		l.rows++
		if row := message.Values[0]; !l.clean[string(row)] {
			l.left = append(l.left, string(row))
		}
	case *pgproto3.ErrorResponse:
		l.err = pgconn.ErrorResponseToPgError(message)
	case *pgproto3.ReadyForQuery:
		l.due--
	}
}

// compared returns the names of what the session keeps and the new session had not. The first
// answer is the answer of the new session.
func (l *pendingCheck) compared() []string {
	if l.clean == nil {
		l.clean, l.all = make(map[string]bool, len(l.left)), l.rows
		for _, row := range l.left {
			l.clean[row] = true
		}
		return nil
	}
	for i, row := range l.left {
		l.left[i], _, _ = strings.Cut(row, "=")
	}
	l.left = slices.Compact(l.left)
	if l.left == nil && l.rows != l.all {
		l.left = []string{"less than the connect hooks made"}
	}
	return l.left
}
