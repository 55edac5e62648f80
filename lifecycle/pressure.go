package lifecycle

import (
	"sync"
	"sync/atomic"
	"time"
)

// pressure is the recent load of the pool: the utilisation over the last second, and how many
// of the last ten seconds' acquires had to wait long. A single sample proves nothing: a burst
// takes a whole pool for a moment.
type pressure struct {
	long, lost atomic.Int64 // waits of half the acquire timeout and of nine tenths, since ever

	mu     sync.Mutex
	used   [int(time.Second / clockTick)]int32 // connections held, a ring
	sum    int64
	next   int
	counts [10]waits // one a second, a ring
	second int

	last    Status    // the status that was returned last
	lastBad time.Time // when the pool was last as bad as last
}

// recoverAfter is how long the pool has to be better before status returns the better status:
// bursts of a second each would turn the status with every burst.
const recoverAfter = 5 * time.Second

// waits are running totals.
type waits struct{ acquires, long, lost int64 }

// sample runs every clock tick.
func (p *pressure) sample(held int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sum += int64(held) - int64(p.used[p.next])
	p.used[p.next] = int32(held)
	p.next = (p.next + 1) % len(p.used)
}

// mark runs every second.
func (p *pressure) mark(acquires int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[p.second] = waits{acquires, p.long.Load(), p.lost.Load()}
	p.second = (p.second + 1) % len(p.counts)
}

// waited counts a wait that has ended.
func (p *pressure) waited(d, timeout time.Duration) {
	switch {
	case d >= timeout*9/10:
		p.lost.Add(1)
		p.long.Add(1)
	case d >= timeout/2:
		p.long.Add(1)
	}
}

// status returns the status. A worse status counts at once, a better status after
// recoverAfter.
func (p *pressure) status(acquires int64, limit int) Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if v := p.current(acquires, limit); v >= p.last || now.Sub(p.lastBad) >= recoverAfter {
		p.last, p.lastBad = v, now
	}
	return p.last
}

// current derives the status from the last second's mean utilisation and the last ten seconds' waits.
// The 99th percentile of the wait is above a bound if more than 1 percent of the waits are
// above the bound.
func (p *pressure) current(acquires int64, limit int) Status {
	since := p.counts[p.second]
	n := acquires - since.acquires
	if (p.lost.Load()-since.lost)*100 > n {
		return Unhealthy
	}
	s := utilisationStatus(float64(p.sum)/float64(len(p.used)), limit)
	if (p.long.Load()-since.long)*100 > n {
		s = max(s, Degraded)
	}
	return s
}
