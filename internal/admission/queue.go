package admission

import (
	"container/heap"
	"time"
)

// waiter is a caller that waits.
type waiter struct {
	node   node[waiter] // in its lane
	lane   *lane
	seq    int64         // order of arrival over all clients
	ready  chan struct{} // buffered 1: gets a value when the wait is over
	err    error         // set before ready; nil: the controller granted a permit
	queued bool
	short  bool        // no permit was free although the controller should have kept a permit
	timer  *time.Timer // runs only while the wait has a limit
}

// within returns a channel that receives after limit; nil, a channel that never receives, for 0.
func (w *waiter) within(limit time.Duration) <-chan time.Time {
	if limit == 0 {
		return nil
	}
	w.timer.Reset(limit)
	return w.timer.C
}

// lane holds the waiters of a tenant in a client, first come, first served. The lanes of a
// client take turns.
type lane struct {
	client *Client
	tenant *tenant
	list[waiter]

	turn      int64 // the lowest is next; unique
	index     int   // in the client's busy or fresh lanes
	aside     bool
	overtaken int // grants out of turn in the client since the first waiter became first
}

// turnAt is the turn of the n-th arrival. Odd turns belong to lanes with a head start.
func turnAt(n int64) int64 { return 2 * n }

// older reports whether ln's first waiter came before the first waiter of other.
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

// queue holds a client's waiters. Fresh lanes belong to tenants that hold nothing, busy lanes to
// tenants that hold permits: at most as many as permits exist. When the turn of a tenant at the
// tenant's limit comes, the queue sets the lane aside, and puts the lane back when the
// tenant may have more. The lanes set aside are at most as many as the tenants at the limit.
type queue struct {
	busy, fresh  lanes
	aside        lanes // in no order
	needyTenants int   // tenants that hold nothing and wait, set aside or not
}

// open returns the lanes to which ln belongs while the lane is not set aside.
func (q *queue) open(ln *lane) *lanes {
	if ln.tenant.holdsNone() {
		return &q.fresh
	}
	return &q.busy
}

// add puts w at the end of the lane.
func (q *queue) add(w *waiter) {
	ln := w.lane
	first := ln.first == nil
	ln.push(&w.node)
	w.queued = true
	if first {
		ln.turn = turnAt(w.seq)
		if ln.tenant.holdsNone() {
			ln.turn = turnAt(w.seq-ln.client.ctl.headStart) + 1
		}
		q.in(ln)
	}
}

// in adds ln, a lane with waiters, to the open lanes. A lane that is set aside stays aside.
func (q *queue) in(ln *lane) {
	if ln.tenant.holdsNone() {
		q.needyTenants++
	}
	if !ln.aside {
		heap.Push(q.open(ln), ln)
	}
}

// out removes ln from the open lanes. A lane that is set aside stays aside.
func (q *queue) out(ln *lane) {
	if ln.tenant.holdsNone() {
		q.needyTenants--
	}
	if !ln.aside {
		heap.Remove(q.open(ln), ln.index)
	}
}

// remove takes w out of the lane at any position.
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
		if ln.aside {
			q.unlist(ln)
		}
	case !ln.aside:
		heap.Fix(q.open(ln), ln.index)
	}
}

// setAside takes ln, whose tenant is at the limit, out of the open lanes.
func (q *queue) setAside(ln *lane) {
	heap.Remove(q.open(ln), ln.index)
	ln.aside = true
	q.aside = append(q.aside, ln)
}

// putBack returns a lane that was set aside to the open lanes.
func (q *queue) putBack(ln *lane) {
	q.unlist(ln)
	heap.Push(q.open(ln), ln)
}

func (q *queue) unlist(ln *lane) {
	for i, b := range q.aside {
		if b == ln {
			last := len(q.aside) - 1
			q.aside[i], q.aside[last] = q.aside[last], nil
			q.aside = q.aside[:last]
			break
		}
	}
	ln.aside = false
}
