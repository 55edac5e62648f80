package lifecycle

import (
	"bytes"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/backend"
)

// reportedNames are session parameters whose changes the server reports to the client
// (PostgreSQL's documentation, 55.2.7 "Asynchronous Operations"). The server reports
// search_path since version 18.
var reportedNames = [...]string{
	"application_name", "client_encoding", "DateStyle", "default_transaction_read_only", "IntervalStyle", "is_superuser",
	"search_path", "session_authorization", "standard_conforming_strings", "TimeZone",
}

type reported [len(reportedNames)]string

// reportedBy returns the values that the server has reported last. Reading the values takes
// no round trip.
func reportedBy(conn *pgx.Conn) (r reported) {
	for i, name := range reportedNames {
		r[i] = conn.PgConn().ParameterStatus(name)
	}
	return r
}

// compareReported taints a connection whose reported parameters have changed since the
// connect: a function, a trigger or an operator has changed the session, and no text shows
// the change. A pooler reports the parameters of any session that the pooler uses. A server that
// has sent no report has changed nothing.
func (s *slot) compareReported(conn *pgx.Conn) {
	if s.watched != nil && !s.watched.reports.Swap(false) {
		return
	}
	if s.facts.Cleanup() == backend.NoCleanup && !s.m.cfg.Pooler && !conn.IsClosed() && reportedBy(conn) != s.atConnect {
		s.facts.Worsen(backend.Close)
	}
}

// mayReport reports whether a part of the server's stream can hold a ParameterStatus message: the
// byte S before a length below 1 GB, of which the first byte is at most 0x3F. SELECT, SET and
// most words have a letter after the S. If S is the last byte, the length comes with the next part.
func mayReport(b []byte) bool {
	for {
		i := bytes.IndexByte(b, 'S')
		if i < 0 {
			return false
		}
		if b = b[i+1:]; len(b) == 0 || b[0] <= 0x3f {
			return true
		}
	}
}
