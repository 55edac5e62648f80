package orchestrator

import (
	"context"
	"time"

	"github.com/agentagency/onepool/fxdb"
)

// Health is the state of the client's database.
type Health struct {
	Healthy bool
	Latency time.Duration // of a ping through the pool
	Pool    PoolStats
	Err     error // why the database is not healthy
}

// Health pings through the pool, for 2 s at most. Health needs no tenant, and reports a missing
// pool as not healthy instead of failing.
func (c *Client) Health(ctx context.Context) Health {
	if c == nil || c.db == nil {
		return Health{Err: wrap("health", fxdb.ErrNotStarted)}
	}
	latency, err := c.db.Probe(ctx)
	c.usage.lastHealth.Store(time.Now().UnixNano())
	return Health{Healthy: err == nil, Latency: latency, Pool: c.poolStats(), Err: wrap("health", err)}
}
