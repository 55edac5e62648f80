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
	short  bool        // there was no permit where one should have been kept
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
	index     int   // in the client's busy or fresh lanes
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

// queue is a client's waiters. Fresh lanes are of tenants that hold nothing, busy ones
// of the others, which are no more than there are permits. Lanes whose tenant may have
// no more are set aside when their turn comes and not looked at until that changes;
// there are no more of them than tenants that are at their limit.
type queue struct {
	busy, fresh lanes
	blocked     lanes // in no order
	quiet       int   // tenants that hold nothing and wait, set aside or not
}

// open returns the lanes that ln is, or would be, among.
func (q *queue) open(ln *lane) *lanes {
	if ln.tenant.quiet() {
		return &q.fresh
	}
	return &q.busy
}

// add puts w at the end of its lane.
func (q *queue) add(w *waiter) {
	ln := w.lane
	first := ln.first == nil
	ln.push(&w.node)
	w.queued = true
	if first {
		ln.turn = turnAt(w.seq)
		if ln.tenant.quiet() {
			ln.turn = turnAt(w.seq-ln.client.ctl.headStart) + 1
		}
		q.in(ln)
	}
}

// in puts ln, in which somebody waits, among the lanes where it belongs.
func (q *queue) in(ln *lane) {
	if ln.tenant.quiet() {
		q.quiet++
	}
	if !ln.blocked {
		heap.Push(q.open(ln), ln)
	}
}

// out takes ln from there; one that is set aside stays so.
func (q *queue) out(ln *lane) {
	if ln.tenant.quiet() {
		q.quiet--
	}
	if !ln.blocked {
		heap.Remove(q.open(ln), ln.index)
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
	case ln.first == nil:
		q.out(ln)
		if ln.blocked {
			q.unlist(ln)
		}
	case !ln.blocked:
		heap.Fix(q.open(ln), ln.index)
	}
}

// block sets ln aside.
func (q *queue) block(ln *lane) {
	heap.Remove(q.open(ln), ln.index)
	ln.blocked = true
	q.blocked = append(q.blocked, ln)
}

// unblock puts a lane that was set aside back in its place.
func (q *queue) unblock(ln *lane) {
	q.unlist(ln)
	heap.Push(q.open(ln), ln)
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
