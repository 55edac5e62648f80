package lifecycle

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// spoilt reports whether the pool must close a connection because of a text that the
// connection carried.
type spoilt uint8

const (
	unspoilt        spoilt = iota
	spoiltIfParsed         // by the statement that runs, unless the server could not parse it
	spoiltInAnyCase        // by an earlier statement, or by several statements
)

// Text is a text that pgx is about to send.
type Text struct {
	SQL      string
	Args     []any // a pgx.QueryRewriter among Args writes a new text: see [Spoil]
	Prepared bool  // to be run later, by a name
}

// spoil runs before pgx sends a text, because the answer may be lost.
func (t tracer) spoil(conn *pgx.Conn, text Text) {
	s := slotOf(conn)
	if t.m.cfg.TaintsSession == nil || s == nil || s.spoilt == spoiltInAnyCase {
		return
	}
	switch yes, single := t.m.cfg.TaintsSession(conn, text); {
	case yes && single:
		s.spoilt = spoiltIfParsed
	case yes:
		s.spoilt = spoiltInAnyCase
	}
}

// Spoil asks Config.TaintsSession about a text that no tracer sees, such as the text of a
// pgx.QueryRewriter. Call Spoil before pgx sends the text, between the start and the end of
// the query that tracers see.
func Spoil(conn *pgx.Conn, sql string) {
	s := slotOf(conn)
	if s == nil || s.m.cfg.TaintsSession == nil {
		return
	}
	if yes, _ := s.m.cfg.TaintsSession(conn, Text{SQL: sql}); yes {
		s.spoilt = spoiltInAnyCase
	}
}

// settleSpoil takes the result of the running statement. prepared reports whether pgx only
// prepared the statement.
func settleSpoil(conn *pgx.Conn, err error, prepared bool) {
	s := slotOf(conn)
	if s == nil || s.spoilt != spoiltIfParsed {
		return
	}
	s.spoilt = spoiltInAnyCase
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (prepared || isUnparsed(refused)) {
		s.spoilt = unspoilt
	}
}

// isUnparsed reports whether the server's raw parser refused the text, so that no
// statement of the text ran. The same parser reads internal queries of functions and type
// names in values: errors of internal queries and type names have a context.
func isUnparsed(err *pgconn.PgError) bool {
	return err.Code == "42601" && err.Routine == "scanner_yyerror" && err.InternalQuery == "" && err.Where == ""
}
