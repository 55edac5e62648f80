package admission

import (
	"container/heap"
	"time"
)

// waiter is one caller that waits.
type waiter struct {
	node   node[waiter] // in its lane
	lane   *lane
	seq    int64         // order of arrival over all clients
	ready  chan struct{} // buffered 1: gets one value when the wait is over
	err    error         // why, set before ready; nil: a permit was given
	queued bool
	timer  *time.Timer // stopped, but while there is a limit to the wait
}

// within returns what the timer sends to after limit; nil, which is never, for 0.
func (w *waiter) within(limit time.Duration) <-chan time.Time {
	if limit == 0 {
		return nil
	}
	w.timer.Reset(limit)
	return w.timer.C
}

// lane holds the waiters of one tenant in one client, first come first. The lanes of a
// client take turns.
type lane struct {
	client *Client
	tenant *tenant
	list[waiter]

	turn      int64 // the lowest is next; no two are the same
	index     int   // in the client's open lanes
	blocked   bool
	overtaken int // grants in the client out of turn since the first waiter became first
}

// turnAt is the turn of who comes, or comes again, as the n-th. Odd ones are of those
// that had a head start.
func turnAt(n int64) int64 { return 2 * n }

// older reports whether ln's first waiter came before that of other.
func (ln *lane) older(other *lane) bool { return ln.front().seq < other.front().seq }

// lanes is a heap by turn.
type lanes []*lane

func (l lanes) Len() int           { return len(l) }
func (l lanes) Less(i, j int) bool { return l[i].turn < l[j].turn }
func (l lanes) Swap(i, j int)      { l[i], l[j] = l[j], l[i]; l[i].index, l[j].index = i, j }

func (l *lanes) Push(x any) {
	ln := x.(*lane)
	ln.index = len(*l)
	*l = append(*l, ln)
}

func (l *lanes) Pop() any {
	last := len(*l) - 1
	ln := (*l)[last]
	(*l)[last] = nil
	*l = (*l)[:last]
	return ln
}

// queue is a client's waiters. Lanes whose tenant may have no more are set aside as
// they come to the front and not looked at until that changes; there are no more of
// them than tenants that are at their limit.
type queue struct {
	open    lanes
	blocked lanes // in no order
}

// add puts w at the end of its lane.
func (q *queue) add(w *waiter) {
	ln := w.lane
	first := ln.first == nil
	ln.push(&w.node)
	w.queued = true
	if first {
		ln.turn = turnAt(w.seq)
		if ln.tenant.held == 0 {
			ln.turn = turnAt(w.seq-ln.client.ctl.headStart) + 1
		}
		heap.Push(&q.open, ln)
	}
}

// remove takes w out of its lane, wherever it stands there.
func (q *queue) remove(w *waiter) {
	ln := w.lane
	if ln.front() == w {
		ln.overtaken = 0
	}
	ln.remove(&w.node)
	w.queued = false
	switch {
	case ln.first == nil && ln.blocked:
		q.unlist(ln)
	case ln.first == nil:
		heap.Remove(&q.open, ln.index)
	case !ln.blocked:
		heap.Fix(&q.open, ln.index)
	}
}

// block sets the front lane aside.
func (q *queue) block() {
	ln := heap.Pop(&q.open).(*lane)
	ln.blocked = true
	q.blocked = append(q.blocked, ln)
}

// unblock puts a lane that was set aside back in its place.
func (q *queue) unblock(ln *lane) {
	q.unlist(ln)
	heap.Push(&q.open, ln)
}

func (q *queue) unlist(ln *lane) {
	for i, b := range q.blocked {
		if b == ln {
			last := len(q.blocked) - 1
			q.blocked[i], q.blocked[last] = q.blocked[last], nil
			q.blocked = q.blocked[:last]
			break
		}
	}
	ln.blocked = false
}
