package lifecycle

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Connect opens a connection outside the pool, with the pool's settings and
// application_name with "/name" appended. No hook of the pool but BeforeConnect runs, and no
// tracer sees the connection. The caller closes the connection; the end of a drain cuts
// the connection off. Start counts Config.ListenConns of these connections in the check of
// the pool's size.
//
// Connect fails with ErrNotStarted before Start has succeeded and with ErrDraining from a
// stop on.
func (m *Monitor) Connect(ctx context.Context, name string) (*pgx.Conn, error) {
	return m.connectAs(ctx, name)
}

// Go runs fn in a goroutine for which a drain waits. The context of fn ends when the drain
// begins, before the drain waits for work in flight. Go reports false, and does not run fn,
// if the pool is not started or a stop has begun.
func (m *Monitor) Go(fn func(ctx context.Context)) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.Started() || m.closing.Err() != nil {
		return false
	}
	m.background.Go(func() { fn(m.closing) })
	return true
}
