package lifecycle

import "sync"

// queue counts those who wait for a permit or for a place in the pool, not those a
// connection is being opened for. The zero value is an empty one.
type queue struct {
	mu  sync.Mutex
	all int
	of  map[string]int // by client
}

// enter adds one of client's. It is false when most are there already, unless client
// has nobody among them: others' floods must not shut it out.
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

// enterQueue is false when too many wait.
func (a *acquisition) enterQueue() bool {
	if a.m.cfg.MaxWaiting <= 0 {
		return true
	}
	a.queued = a.m.queue.enter(a.request.Client, a.m.cfg.MaxWaiting)
	return a.queued
}

func (a *acquisition) leaveQueue() {
	if a.queued {
		a.queued = false
		a.m.queue.leave(a.request.Client)
	}
}

// enterPool is called before the pool is asked. It finds out whether there is a place
// for a, which the pool does not tell: it only has a wait, for a place as for a
// connection that it opens for a.
func (a *acquisition) enterPool() {
	if a.m.cfg.MaxWaiting > 0 && !a.inPool {
		a.inPool = true
		a.noPlace = a.m.asking.Add(1)+a.m.held.Load() > int64(a.m.cfg.Pool.MaxConns)
	}
}

// leavePool is called when the connection is there, just before it counts as held, or
// when there will be none.
func (a *acquisition) leavePool() {
	if a.inPool {
		a.inPool = false
		a.m.asking.Add(-1)
	}
}
