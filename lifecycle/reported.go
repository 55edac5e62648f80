package lifecycle

import (
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
// the change. A pooler reports the parameters of any session that the pooler uses.
func (s *slot) compareReported(conn *pgx.Conn) {
	if s.facts.Taint() == backend.Plain && !s.m.cfg.Pooler && !conn.IsClosed() && reportedBy(conn) != s.atConnect {
		s.facts.Worsen(backend.Lasting)
	}
}
