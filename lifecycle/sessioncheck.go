package lifecycle

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/backend"
)

// checkSession sends the check of Config.Sessions after the last statement of a holder. The
// holder does not wait for the answer. A connection that can't take the check is closed.
func (m *Monitor) checkSession(conn *pgx.Conn, s *slot) {
	if m.releaseHook { // the hook may use the connection
		return
	}
	m.sendCheck(conn, s)
}

// afterRelease runs the caller's AfterRelease, not for a round of the monitor itself, without a
// check under way, and then checks what the hook's statements leave too.
func (m *Monitor) afterRelease(hook func(*pgx.Conn) bool) func(*pgx.Conn) bool {
	return func(conn *pgx.Conn) bool {
		s := slotOf(conn)
		if s != nil && s.upkeep {
			return true
		}
		if keep, err := m.checked(m.closing, conn, s); !keep || err != nil || !hook(conn) {
			return false
		}
		if s != nil {
			m.sendCheck(conn, s)
		}
		return true
	}
}

func (m *Monitor) sendCheck(conn *pgx.Conn, s *slot) {
	if err := s.facts.SendCheck(); err != nil {
		closeConn(conn)
		m.lose(conn)
	}
}

// checked waits for the answer to the check after the last holder. The results are those of
// PrepareConn: a caller whose context ends leaves the connection and the answer to the next
// caller.
func (m *Monitor) checked(ctx context.Context, conn *pgx.Conn, s *slot) (keep bool, err error) {
	if s == nil || !s.facts.CheckIsDue() {
		return true, nil
	}
	left, err := s.facts.Left(ctx)
	switch {
	case err != nil && ctx.Err() != nil && s.facts.AnswerMayCome():
		return true, err
	case errors.Is(err, backend.ErrCheckFailed):
		left = []string{"unknown"}
	case err != nil:
		m.lose(conn)
		return false, nil //nolint:nilerr // the pool goes on with the next connection
	}
	if left != nil {
		m.findLeft(s, left, err)
	}
	return true, nil
}

// findLeft taints a connection whose session keeps what the last holder's statements have left.
// DISCARD ALL does not remove all that a function can leave: see reported.go.
func (m *Monitor) findLeft(s *slot, left []string, err error) {
	s.mu.Lock()
	counted := s.facts.Cleanup() != backend.NoCleanup // at the release
	s.facts.Worsen(backend.Close)
	client, query, tainted := s.client, s.query, s.tainted
	s.mu.Unlock()
	if !counted {
		m.countTaint(tainted)
	}
	what := strings.Join(left, ", ")
	if _, seen := m.leftSeen.LoadOrStore(client+": "+what, true); !seen {
		m.log.Warn("a session keeps what no text of the client shows, and the pool closes the connection: a function, a trigger, an operator or a view has left it",
			zap.String("client", client), zap.String("left", what), zap.String("statement", shown(query, 200)), zap.Error(err))
	}
}

// readFirst reads a due answer before a statement that a hook or a tracer of the caller sends
// between the release and the next acquire.
func (m *Monitor) readFirst(ctx context.Context, conn *pgx.Conn, s *slot) {
	if keep, _ := m.checked(ctx, conn, s); !keep {
		closeConn(conn)
	}
}

// pingable reads a due answer before a ping, and reports whether a ping makes sense. A
// connection without an answer is closed, so that its ping fails.
func (m *Monitor) pingable(ctx context.Context, conn *pgx.Conn, s *slot) bool {
	keep, err := m.checked(ctx, conn, s)
	if !keep {
		closeConn(conn)
	}
	return err == nil
}
