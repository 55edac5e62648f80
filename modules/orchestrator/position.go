package orchestrator

import (
	"sync"
	"time"
)

// Every claim leaves a dead entry at the head of the queue's index. While any transaction of the
// server keeps an older snapshot, for example a backup, the server can't remove the entries, and
// each claim from the head walks through all of them. So the claims of a busy tenant go on where
// the last claim of the client ended. Enqueue adds tasks behind; a task that goes back into the
// queue is found by an index of its own. A task can lie before the position only if a different
// client gave back a claim by a rollback, or changed the priority of a queued task, or if a
// concurrent Enqueue committed after the claim of a newer task. So the client looks at the whole
// queue again after lookEvery.
const (
	busyAfter   = 1000                   // tasks that the client claimed for the tenant
	lookEvery   = time.Second            // at least, between two looks at the whole queue
	lookAgain   = 100 * time.Millisecond // at least, if a claim from the position found no task
	lookShare   = 20                     // a look takes at most this part of the time
	overdueLook = time.Minute            // the part of the claims' ends that each claim looks at
	mostTenants = 10_000                 // with a position in memory
)

// positions are the tenants' positions.
type positions struct {
	mu       sync.Mutex
	byTenant map[string]*position
}

// position is where the claims of a tenant go on.
type position struct {
	claimed int
	mode    QueueMode
	floors  [10]int64 // by 10 minus the priority: the last claimed seq
	fifo    int64     // the last claimed seq in ModeFIFO
	swept   time.Time // no claim that lasts has ended before
	looked  time.Time // the last look at the whole queue
	took    time.Duration
}

// due reports whether a look at the whole queue is due at least every period.
func (p position) due(period time.Duration) bool {
	return p.claimed < busyAfter || p.mode == ModeDeadline || time.Since(p.looked) > max(period, lookShare*p.took)
}

// of returns a copy of the tenant's position.
func (ps *positions) of(tenant string) position {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.byTenant[tenant]; p != nil {
		return *p
	}
	return position{}
}

// forget has the next claim of the tenant look at the whole queue.
func (ps *positions) forget(tenant string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.byTenant[tenant]; p != nil {
		*p = position{claimed: p.claimed}
	}
}

// note moves the tenant's position behind the claimed tasks. whole is the time of a look at the
// whole queue, 0 for a claim from the position.
func (ps *positions) note(tenant string, rows []claimedRow, whole time.Duration) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.byTenant[tenant]
	switch {
	case p == nil && len(ps.byTenant) >= mostTenants:
		clear(ps.byTenant)
		fallthrough
	case p == nil:
		p = &position{}
		if ps.byTenant == nil {
			ps.byTenant = make(map[string]*position)
		}
		ps.byTenant[tenant] = p
	}
	if whole > 0 {
		p.looked, p.took = time.Now(), whole
	}
	p.claimed = min(p.claimed+len(rows), busyAfter)
	for i, r := range rows {
		if mode := QueueMode(r.Mode); mode != p.mode {
			p.mode, p.floors, p.fifo = mode, [10]int64{}, 0
		}
		if i == 0 {
			p.swept = r.DequeuedAt.Add(-overdueLook)
			if r.Ends != nil && r.Ends.Before(p.swept) {
				p.swept = *r.Ends
			}
		}
	}
	p.move(rows, whole > 0)
}

// move moves the position behind the rows; back allows a move towards the head. A task that was
// claimed before does not count: the task may lie far ahead of the others.
func (p *position) move(rows []claimedRow, back bool) {
	var floors [10]int64
	var fifo int64
	for _, r := range rows {
		if r.Attempts == 1 {
			i := 10 - r.Priority
			floors[i], fifo = max(floors[i], r.Seq), max(fifo, r.Seq)
		}
	}
	for i, seq := range floors {
		if seq > p.floors[i] || back && seq > 0 {
			p.floors[i] = seq
		}
	}
	if fifo > p.fifo || back && fifo > 0 {
		p.fifo = fifo
	}
}
