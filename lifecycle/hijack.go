package lifecycle

import (
	"net"
	"slices"
)

// forgetHijacked drops from held the hijacked connections that their new owner has closed.
// pgxpool reports neither the hijack nor the close. A held connection that broke looks the
// same, but still has its place in the pool.
func (m *Monitor) forgetHijacked(held []*slot) []*slot {
	closed := 0
	for _, s := range held {
		if s.closed() {
			closed++
		}
	}
	if closed == 0 {
		return held
	}
	uses := make([]int64, len(held))
	for i, s := range held {
		uses[i] = s.use()
	}
	places := int(m.pool.Stat().AcquiredConns())
	for i, s := range held {
		if uses[i] == 0 || s.use() != uses[i] {
			return held // not all were held at the moment of the count: the count proves nothing
		}
	}
	if places > len(held)-closed {
		return held
	}
	return slices.DeleteFunc(held, func(s *slot) bool {
		if s.closed() {
			m.release(s.conn)
			m.removeSlot(s.conn)
			return true
		}
		return false
	})
}

// use returns the number of the current hold, or 0 if nobody holds the connection.
func (s *slot) use() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held {
		return 0
	}
	return s.uses
}

// closed reports whether this process has closed the connection's socket.
func (s *slot) closed() bool { return s.socket != nil && s.socket.closed.Load() }

// socketUnder finds the socket that the pool dialled under a connection, also under TLS.
// socketUnder returns nil if the connection hides the wrapped connection.
func socketUnder(conn net.Conn) *socket {
	for {
		switch c := conn.(type) {
		case *socket:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
