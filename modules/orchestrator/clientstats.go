package orchestrator

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// ClientStats are figures of one client since it was started, and of the pool.
type ClientStats struct {
	Pool            PoolStats     `json:"pool"`
	Uptime          time.Duration `json:"uptime_ns"`
	LastHealthCheck time.Time     `json:"last_health_check"` // zero before the first Health
	Queries         int64         `json:"queries"`           // calls that asked the database, failed ones included
	Transactions    int64         `json:"transactions"`      // those of them that were several statements
	Failed          int64         `json:"failed"`
	AvgQueryTime    time.Duration `json:"avg_query_time_ns"` // of all queries, 0 when there was none
}

// PoolStats is the part of the pool's figures that tells whether it is busy.
type PoolStats struct {
	Total   int `json:"total"`
	Idle    int `json:"idle"`
	Active  int `json:"active"`
	Waiting int `json:"waiting"`
}

// usage is what a client counts.
type usage struct {
	began, lastHealth, spent      atomic.Int64 // Unix nanoseconds, nanoseconds
	queries, transactions, failed atomic.Int64
}

func (u *usage) start() { u.began.Store(time.Now().UnixNano()) }

// note counts a call. That there is no row is an answer.
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

// ClientStats returns the client's figures. It sends nothing and needs no
// tenant. For those of the queue see Stats.
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
