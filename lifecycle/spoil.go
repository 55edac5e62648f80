package lifecycle

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// spoilt says whether nobody else may have a connection, because of what was sent on it.
type spoilt uint8

const (
	unspoilt        spoilt = iota
	spoiltIfParsed         // by the statement that runs, unless the server could not parse it
	spoiltInAnyCase        // by one that ended before, or by several
)

// Text is what pgx is about to send.
type Text struct {
	SQL      string
	Args     []any // a pgx.QueryRewriter among them writes another text: see [Spoil]
	Prepared bool  // to be run later, by a name
}

// spoil is called before a text is sent, since its answer may be lost.
func (t tracer) spoil(conn *pgx.Conn, text Text) {
	s := slotOf(conn)
	if t.m.cfg.Spoils == nil || s == nil || s.spoilt == spoiltInAnyCase {
		return
	}
	switch yes, single := t.m.cfg.Spoils(conn, text); {
	case yes && single:
		s.spoilt = spoiltIfParsed
	case yes:
		s.spoilt = spoiltInAnyCase
	}
}

// Spoil asks Config.Spoils about a text that the tracers don't see, such as one that a
// pgx.QueryRewriter wrote. It is called before the text is sent, between the start and
// the end of the query that the tracers see.
func Spoil(conn *pgx.Conn, sql string) {
	s := slotOf(conn)
	if s == nil || s.m.cfg.Spoils == nil {
		return
	}
	if yes, _ := s.m.cfg.Spoils(conn, Text{SQL: sql}); yes {
		s.spoilt = spoiltInAnyCase
	}
}

// settleSpoil is called with the result of the statement that runs. prepared says that
// the statement was only prepared.
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

// isUnparsed reports whether the server's raw parser refused the text that was sent, so
// that nothing of it ran. The same parser reads what a function runs, an internal query,
// and a type's name in a value: each error of these has a context.
func isUnparsed(err *pgconn.PgError) bool {
	return err.Code == "42601" && err.Routine == "scanner_yyerror" && err.InternalQuery == "" && err.Where == ""
}
