package lifecycle

import "sync"

// queue counts the waiters for a permit or for a place in the pool, but not the waiters for
// whom the pool opens a connection. The zero value is an empty queue.
type queue struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by client
}

// enter adds a waiter of client. enter returns false if most waiters are in the queue
// already, unless client has no waiter: floods of further clients must not shut client out.
func (q *queue) enter(client string, most int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.all >= most && q.of[client] > 0 {
		return false
	}
	if q.of == nil {
		q.of = make(map[string]int)
	}
	q.all++
	q.of[client]++
	return true
}

func (q *queue) leave(client string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all--
	if q.of[client]--; q.of[client] == 0 {
		delete(q.of, client)
	}
}

// enterQueue returns false if too many callers wait.
func (a *acquisition) enterQueue() bool {
	if a.m.cfg.MaxWaiting <= 0 {
		return true
	}
	a.queued = a.m.queue.enter(a.request.Client, a.m.cfg.MaxWaiting)
	return a.queued
}

// leaveQueue takes a queued waiter out.
func (a *acquisition) leaveQueue() {
	a.queued = false
	a.m.queue.leave(a.request.Client)
}

// enterPool runs before the acquire from the pool if Monitor.countsAsking, and finds out whether
// the pool has a place for a. The pool itself shows only a wait: for a place, or for a connect on
// behalf of a.
func (a *acquisition) enterPool() {
	a.inPool = true
	a.poolFull = a.m.asking.Add(1)+a.m.held.Load() > int64(a.m.cfg.Pool.MaxConns)
}

// leavePool runs for an inPool acquisition just before the connection counts as held, or when the
// acquire has failed.
func (a *acquisition) leavePool() {
	a.inPool = false
	a.m.asking.Add(-1)
}
