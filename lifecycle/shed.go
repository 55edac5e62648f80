package lifecycle

import (
	"context"
	"sync"
	"time"
)

// shedder fails the oldest waiters of a standing queue, as CoDel drops the oldest packets: a
// queue that absorbs a burst is short again before an interval has passed, and a queue
// stands if the shortest wait of a whole interval is longer than the target. Each client
// has a queue.
type shedder struct {
	target, interval time.Duration

	mu     sync.Mutex
	queues map[string]*clientQueue
}

// clientQueue is the queue of a client, and the shortest wait in the current interval.
type clientQueue struct {
	waiting map[*queuedCaller]struct{}
	began   time.Time // of the interval
	served  bool      // in the interval
	least   time.Duration
	stands  bool
}

type queuedCaller struct {
	since time.Time
	shed  context.CancelCauseFunc
}

// newShedder returns nil without a target.
func newShedder(target, interval time.Duration) *shedder {
	if target <= 0 {
		return nil
	}
	return &shedder{target: target, interval: interval, queues: make(map[string]*clientQueue)}
}

// queue returns the queue of a client. The caller holds the mutex.
func (s *shedder) queue(client string, now time.Time) *clientQueue {
	q := s.queues[client]
	if q == nil {
		q = &clientQueue{waiting: make(map[*queuedCaller]struct{}), began: now}
		s.queues[client] = q
	}
	return q
}

// join adds a waiter, whom shed fails. A nil shedder adds nobody.
func (s *shedder) join(client string, shed context.CancelCauseFunc) *queuedCaller {
	if s == nil {
		return nil
	}
	w := &queuedCaller{time.Now(), shed}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue(client, w.since).waiting[w] = struct{}{}
	return w
}

// leave removes a waiter at the end of the wait. A nil w is nobody.
func (s *shedder) leave(client string, w *queuedCaller) {
	if w == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.queue(client, w.since).waiting, w)
}

// serve notes that a caller of client got a connection. A nil w did not wait in the queue.
func (s *shedder) serve(client string, w *queuedCaller) {
	if s == nil {
		return
	}
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var waited time.Duration
	if w != nil {
		waited = now.Sub(w.since)
	}
	if q := s.queue(client, now); !q.served || waited < q.least {
		q.served, q.least = true, waited
	}
}

// judge judges each queue at the end of its interval, and fails the oldest waiters of the
// queues that stand. judge runs every clock tick. A wait for a server that is away does not
// count: Config.ServerWaitFraction bounds that wait.
func (s *shedder) judge(now time.Time, away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for client, q := range s.queues {
		if away {
			q.began, q.served, q.stands = now, false, false
			for w := range q.waiting {
				w.since = now
			}
			continue
		}
		if now.Sub(q.began) >= s.interval {
			if len(q.waiting) == 0 && !q.served {
				delete(s.queues, client)
				continue
			}
			q.stands = q.shortest(now) > s.target
			q.began, q.served = now, false
		}
		if !q.stands {
			continue
		}
		for w := range q.waiting {
			if now.Sub(w.since) > 2*s.target {
				w.shed(ErrQueueShed)
			}
		}
	}
}

// shortest returns the shortest wait of the interval. In an interval that served nobody the
// oldest waiter has the shortest wait.
func (q *clientQueue) shortest(now time.Time) time.Duration {
	if q.served {
		return q.least
	}
	var oldest time.Duration
	for w := range q.waiting {
		oldest = max(oldest, now.Sub(w.since))
	}
	return oldest
}
