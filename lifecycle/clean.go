package lifecycle

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/backend"
)

// cleanMost bounds the cleaning of a connection. DISCARD ALL takes far less than a
// millisecond, unless the session has many temporary tables.
const cleanMost = 5 * time.Second

// makeFit makes a connection fit for the next holder: makeFit reads the answer to the check after
// the last holder, cleans a tainted session, and undoes the text of backend.Facts.UndoWith. The
// results are those of PrepareConn.
func (m *Monitor) makeFit(ctx context.Context, conn *pgx.Conn, s *slot) (keep bool, err error) {
	if keep, err := m.checked(ctx, conn, s); !keep || err != nil {
		return keep, err
	}
	return m.clean(ctx, conn, s) && s.facts.Undo(ctx), nil
}

// clean cleans a tainted connection. clean reports false if the pool has to close the connection.
//
// The sweep of the idle connections calls clean within a second of the release. Before the
// sweep, the next caller's acquire cleans.
func (m *Monitor) clean(ctx context.Context, conn *pgx.Conn, s *slot) bool {
	if s.facts.Cleanup() == backend.NoCleanup {
		return true
	}
	if !m.cleans(ctx, conn, s) {
		m.unclean.Add(1)
		return false
	}
	m.cleaned.Add(1)
	return true
}

func (m *Monitor) cleans(ctx context.Context, conn *pgx.Conn, s *slot) bool {
	if s.facts.Cleanup() != backend.Reset || m.cfg.Pooler {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, cleanMost)
	defer cancel()
	if m.discard(ctx, conn) != nil || reportedBy(conn) != s.atConnect {
		return false
	}
	s.facts.Cleaned()
	return s.facts.MeetAgain(ctx) == nil
}

// discard undoes what a session may hold, on the server and in pgx, and then runs the hooks
// of a new connection again.
func (m *Monitor) discard(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.PgConn().Exec(ctx, "discard all").ReadAll(); err != nil {
		return err
	}
	if err := conn.DeallocateAll(ctx); err != nil { // pgx forgets its prepared statements
		return err
	}
	backend.Of(conn).Discards()
	if m.afterConnect != nil {
		return m.afterConnect(ctx, conn)
	}
	return nil
}
