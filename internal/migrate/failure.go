package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

// Error is a failed migration of a source.
type Error struct {
	Source string
	File   string // of the migration that failed; empty if none began
	Line   int    // in File, of the text that the server rejects; 0 if unknown
	Lost   bool   // the server, or a cancelled statement, has ended the session
	Err    error

	start  bool // Line is the beginning of the statement: the server gave no position
	final  bool
	advice []string
}

// Error names source, file and line, and says how to go on.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "migrations %q: ", e.Source)
	if e.File != "" {
		b.WriteString(e.File)
		switch {
		case e.Line > 0 && e.start:
			fmt.Fprintf(&b, ", statement at line %d", e.Line)
		case e.Line > 0:
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Err.Error())
	for _, a := range e.advice {
		b.WriteString("; " + a)
	}
	return b.String()
}

// Unwrap returns the error of the server or of goose.
func (e *Error) Unwrap() error { return e.Err }

// Final reports whether a retry would fail again, or would repeat the statements of a migration
// outside a transaction.
func (e *Error) Final() bool { return e.final }

// transient are the SQLSTATEs with which the server rolls a transaction back because of foreign
// sessions: serialization failure, deadlock, a lock not available.
var transient = map[string]bool{"40001": true, "40P01": true, "55P03": true}

// unanswered reports whether the server was unreachable, or had no time to answer.
func unanswered(err error) bool {
	var connectErr *pgconn.ConnectError
	var netErr net.Error // a context's deadline is a net.Error too
	return errors.As(err, &connectErr) || errors.As(err, &netErr) || errors.Is(err, context.Canceled) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// failure makes an *[Error] of err. session is the source's session, or nil before the session
// is open.
func (r *run) failure(ctx context.Context, s Source, session *session, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Source: s.Name, Err: err}
	e.Lost = session != nil && session.lost() || errors.Is(err, errSessionLost) || errors.Is(err, errLockLost)
	var pgErr *pgconn.PgError
	fromServer := errors.As(err, &pgErr)
	var partial *goose.PartialError
	if !errors.As(err, &partial) { // no migration began
		e.final = !e.Lost && !fromServer && !unanswered(err)
		return e
	}
	e.Err = partial.Err
	if joined, ok := e.Err.(interface{ Unwrap() []error }); ok && len(joined.Unwrap()) > 0 {
		e.Err = joined.Unwrap()[0] // the next is the error of goose's rollback, without information
	}
	if ctx.Err() != nil && !errors.Is(e.Err, ctx.Err()) {
		e.Err = fmt.Errorf("%w: %w", context.Cause(ctx), e.Err)
	}
	e.File = partial.Failed.Source.Path
	e.final = session.outside || !e.Lost && !(fromServer && transient[pgErr.Code])
	text, readErr := fs.ReadFile(s.FS, e.File)
	if readErr == nil && session.failed {
		position := 0
		if fromServer {
			position = int(pgErr.Position)
		}
		e.start = position == 0
		e.Line = line(string(text), session.statements, position, r.down)
	}
	if fromServer && pgErr.Code == "25001" && !session.outside {
		e.advice = append(e.advice, "the statement runs outside a transaction only: begin the file with \"-- +goose NO TRANSACTION\"")
	}
	if !r.down && session.outside {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
		defer cancel()
		e.advice = r.wayOut(late, s, e, string(text), session, partial.Failed.Source.Version)
	}
	if len(r.sources) > 1 && !r.down {
		e.advice = append(e.advice,
			fmt.Sprintf("the order of the sources is %s, and fxdb.After changes the order", names(r.sources, ", ")))
	}
	return e
}

// wayOut says how to go on after a half-done migration: outside a transaction the server undoes
// nothing.
func (r *run) wayOut(ctx context.Context, s Source, e *Error, text string, session *session, version int64) []string {
	mends := r.halfDone(ctx, text)
	if len(mends) == 0 && len(session.statements) == 1 && session.failed && !e.Lost {
		return nil // the only statement failed, and left nothing
	}
	const stays = "NO TRANSACTION: the effects of the migration's earlier statements stay, " +
		"and the next start runs all statements again"
	if len(mends) > 0 {
		return []string{stays, "an index build or the like was interrupted: before the next start run: " +
			strings.Join(mends, "; ")}
	}
	return []string{stays, fmt.Sprintf("undo the effects of the statements by hand, "+
		"or finish the migration by hand and record so: insert into %s (version_id, is_applied) values (%d, true)", s.VersionTable(), version)}
}

// refuseInvalid fails a migration whose text names an index that is not valid: CREATE INDEX IF
// NOT EXISTS finds the invalid index of an interrupted build, and reports success.
func (r *run) refuseInvalid(ctx context.Context, text string) error {
	conn, err := r.aside(ctx)
	if err != nil {
		return err
	}
	rows, err := conn.Query(ctx, `select c.relname from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
		where not i.indisvalid and c.relkind = 'i'`)
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if regexp.MustCompile(`(?i)(^|[^\w$])` + regexp.QuoteMeta(name) + `($|[^\w$])`).MatchString(text) {
			return fmt.Errorf("the index %s is not valid, so the migration is not recorded as applied", name)
		}
	}
	return nil
}

// halfDone returns the statements that clear the remains of an interrupted CREATE INDEX
// CONCURRENTLY, REINDEX CONCURRENTLY or DETACH PARTITION CONCURRENTLY, for the tables and
// indexes in the migration's text.
func (r *run) halfDone(ctx context.Context, text string) (mends []string) {
	conn, err := r.aside(ctx)
	if err != nil {
		return nil
	}
	// PostgreSQL 14 added pg_inherits.inhdetachpending. A reindex builds name_ccnew.
	rows, err := conn.Query(ctx, `
		select format('drop index concurrently if exists %I.%I', n.nspname, c.relname)
		from pg_catalog.pg_index i
		join pg_catalog.pg_class c on c.oid = i.indexrelid
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		join pg_catalog.pg_class t on t.oid = i.indrelid
		where not i.indisvalid and c.relkind = 'i'
		  and (strpos($1, lower(t.relname)) > 0 or strpos($1, lower(regexp_replace(c.relname, '_cc(new|old)\d*$', ''))) > 0)
		union all
		select format('alter table %s detach partition %s finalize', i.inhparent::regclass, i.inhrelid::regclass)
		from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
		where (to_jsonb(i) ->> 'inhdetachpending')::boolean and strpos($1, lower(c.relname)) > 0
		order by 1`, strings.ToLower(text))
	if err != nil {
		return nil
	}
	mends, err = pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil
	}
	return mends
}

var upSection, downSection = regexp.MustCompile(`(?i)\+goose\s+up`), regexp.MustCompile(`(?i)\+goose\s+down`)

// line returns the line in file of the character at position, from 1, of the last of statements;
// if position is 0, the line of the statement's beginning. line returns 0 if the file does not
// show the statements as sent (ENVSUB).
func line(file string, statements []string, position int, down bool) int {
	file = strings.ReplaceAll(file, "\r\n", "\n")
	section := upSection
	if down {
		section = downSection
	}
	at := 0
	if found := section.FindStringIndex(file); found != nil {
		at = found[0]
	}
	for i, s := range statements {
		found := strings.Index(file[at:], s)
		if found < 0 {
			return 0
		}
		at += found
		if i < len(statements)-1 {
			at += len(s)
		}
	}
	before := file[:at]
	if position > 0 && len(statements) > 0 {
		runes := []rune(statements[len(statements)-1])
		before += string(runes[:min(position-1, len(runes))])
	}
	return 1 + strings.Count(before, "\n")
}
