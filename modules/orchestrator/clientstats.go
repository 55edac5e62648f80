package orchestrator

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// ClientStats are figures of a client since the client's start, and of the pool.
type ClientStats struct {
	Pool            PoolStats     `json:"pool"`
	Uptime          time.Duration `json:"uptime_ns"`
	LastHealthCheck time.Time     `json:"last_health_check"` // zero before the first Health
	Queries         int64         `json:"queries"`           // calls that asked the database, including failed calls
	Transactions    int64         `json:"transactions"`      // calls of several statements
	Failed          int64         `json:"failed"`
	AvgQueryTime    time.Duration `json:"avg_query_time_ns"` // of all queries, 0 without queries
}

// PoolStats is the part of the pool's figures that shows whether the pool is busy.
type PoolStats struct {
	Total   int `json:"total"`
	Idle    int `json:"idle"`
	Active  int `json:"active"`
	Waiting int `json:"waiting"`
}

// usage counts a client's calls.
type usage struct {
	began, lastHealth, spent      atomic.Int64 // Unix nanoseconds, nanoseconds
	queries, transactions, failed atomic.Int64
}

func (u *usage) start() { u.began.Store(time.Now().UnixNano()) }

// note counts a call. An empty answer is no failure.
func (u *usage) note(took time.Duration, err error) {
	u.queries.Add(1)
	u.spent.Add(int64(took))
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		u.failed.Add(1)
	}
}

func (c *Client) poolStats() PoolStats {
	s := c.db.Stats()
	return PoolStats{s.Total, s.Idle, s.Active, s.Waiting}
}

// ClientStats returns the client's figures, sends nothing and needs no tenant. For the queue's
// figures see Stats.
func (c *Client) ClientStats() ClientStats {
	s := ClientStats{
		Pool: c.poolStats(), Uptime: time.Since(time.Unix(0, c.usage.began.Load())),
		Queries: c.usage.queries.Load(), Transactions: c.usage.transactions.Load(), Failed: c.usage.failed.Load(),
	}
	if at := c.usage.lastHealth.Load(); at != 0 {
		s.LastHealthCheck = time.Unix(0, at)
	}
	if s.Queries > 0 {
		s.AvgQueryTime = time.Duration(c.usage.spent.Load() / s.Queries)
	}
	return s
}
