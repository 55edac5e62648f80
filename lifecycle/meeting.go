package lifecycle

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// errServerLeft ends the statements that ran on a server that the pool has left.
var errServerLeft = errors.New("the pool left a server that does not answer, because another server takes the writes now")

// startedAt distinguishes servers, and a server from itself before a restart.
const startedAt = "extract(epoch from pg_postmaster_start_time())::text"

// meeting is the server that a probe has met: the address, and the start time by the server's
// own report.
type meeting struct{ address, started string }

// meet notes the server that a probe has met. If the server has changed or restarted, the
// pool pings every connection before the next use.
func (m *Monitor) meet(conn *pgx.Conn, started string) {
	met, was := meeting{conn.PgConn().Conn().RemoteAddr().String(), started}, m.server.Load()
	if was != nil && *was == met {
		return
	}
	m.mu.Lock()
	m.met[met.address] = started
	m.mu.Unlock()
	if m.server.CompareAndSwap(was, &met) && was != nil {
		m.losses.Add(1)
	}
}

// leaveSilent cuts off the connections to servers that do not answer, after a probe of another
// server that takes writes: a standby was promoted beside a primary that hangs. The kernel of
// the hanging server still acknowledges packets, so no timeout of the network would end the
// statements there. A server that answers keeps the connections, because a long statement is
// no hang.
func (m *Monitor) leaveSilent() {
	now, generation := m.server.Load(), m.generation.Load()
	for address, left := range m.connectionsBeside(now) {
		if m.answers(left[0].socket.RemoteAddr()) {
			continue
		}
		m.log.Warn("pool leaves a server that does not answer: another server takes the writes now",
			zap.String("left", address), zap.String("database", m.Database()), zap.Int("connections", len(left)))
		m.sockets.leave(address)
		for _, s := range left {
			s.socket.left.Store(true)
			s.socket.Conn.Close()
		}
		m.reset(generation, "")
	}
}

// connectionsBeside returns, by address, the pool's connections to servers that the pool knows
// and that are not now. Two addresses may lead to a single server.
func (m *Monitor) connectionsBeside(now *meeting) map[string][]*slot {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all map[string][]*slot
	for _, s := range m.slots {
		if s.socket == nil || s.socket.RemoteAddr().Network() == "unix" { // the path is the server's own
			continue
		}
		address := s.socket.RemoteAddr().String()
		if started, known := m.met[address]; known && address != now.address && started != now.started {
			if all == nil {
				all = make(map[string][]*slot)
			}
			all[address] = append(all[address], s)
		}
	}
	return all
}

// hangsAfter is how long a server stays silent before the pool takes the server for hanging. A
// server on a busy machine answers late, and statements that are cut off are lost.
const hangsAfter = 2 * time.Second

// answers reports whether a server answers at an address. The caller of a probe may have less
// time.
func (m *Monitor) answers(at net.Addr) bool {
	ctx, cancel := context.WithTimeout(m.closing, hangsAfter)
	defer cancel()
	return m.askHost(ctx, host{network: at.Network(), address: at.String()})
}
