package agentregistry

import (
	"context"
	"time"

	"github.com/agentagency/onepool/fxdb"
)

// Health is the state of the client's database.
type Health struct {
	Healthy bool
	Latency time.Duration // of a ping through the pool
	Pool    PoolHealth
	Err     error // why the database is not healthy
}

// PoolHealth is the part of the pool's figures that shows whether the pool is busy.
type PoolHealth struct{ Total, Idle, Waiting int }

// Health pings through the pool, for 2 s at most. Health needs no tenant, and reports a missing
// pool as not healthy instead of failing.
func (c *Client) Health(ctx context.Context) Health {
	if c == nil || c.db == nil {
		return Health{Err: wrap("health", fxdb.ErrNotStarted)}
	}
	latency, err := c.db.Probe(ctx)
	s := c.db.Stats()
	return Health{
		Healthy: err == nil, Latency: latency, Err: wrap("health", err),
		Pool: PoolHealth{s.Total, s.Idle, s.Waiting},
	}
}
