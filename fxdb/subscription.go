package fxdb

import (
	"context"
	"sync"
)

// Notification is one notification of a channel, or a gap.
type Notification struct {
	Channel string
	Payload string
	// Gap reports that notifications of the subscription's channels may be missing here:
	// the connection was lost, or the subscriber was too slow. Channel and Payload of a
	// gap are empty. Read the state that the notifications report anew.
	Gap bool
}

// subscriptionBuffer is how many notifications wait for one subscriber.
const subscriptionBuffer = 1024

// Subscription receives the notifications of some channels, in the order of their commits.
// Call Next in a loop, and Close at the end. A Subscription is safe for concurrent use:
// several goroutines in Next share the notifications.
//
// 1024 notifications wait for a slow subscriber. The subscription drops further
// notifications, and Next returns a gap in their place.
type Subscription struct {
	listener *listener
	channels map[string]bool
	ready    chan struct{} // closed when the server listens to all channels
	wakeUp   chan struct{} // buffered 1: a notification waits
	done     chan struct{} // closed at the end

	mu      sync.Mutex
	waiting []Notification
	missed  bool  // a gap follows the waiting notifications
	isReady bool  // ready is closed
	err     error // of the end
}

func newSubscription(l *listener, channels []string) *Subscription {
	s := &Subscription{listener: l, channels: make(map[string]bool),
		ready: make(chan struct{}), wakeUp: make(chan struct{}, 1), done: make(chan struct{})}
	for _, channel := range channels {
		s.channels[channel] = true
	}
	return s
}

// Next waits for the next notification. Next fails with the error of ctx, with
// [ErrSubscriptionClosed] after Close, and with [ErrDraining] from the beginning of a stop
// on, even if notifications wait: the pool takes no more work for the notifications.
func (s *Subscription) Next(ctx context.Context) (Notification, error) {
	for {
		n, ok, err := s.take()
		if ok || err != nil {
			return n, err
		}
		select {
		case <-s.wakeUp:
		case <-s.done:
		case <-ctx.Done():
			return Notification{}, ctx.Err()
		}
	}
}

func (s *Subscription) take() (n Notification, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return n, false, s.err
	case len(s.waiting) > 0:
		n, s.waiting = s.waiting[0], s.waiting[1:]
	case s.missed:
		n, s.missed = Notification{Gap: true}, false
	default:
		return n, false, nil
	}
	if len(s.waiting) > 0 || s.missed {
		s.wake() // another goroutine in Next
	}
	return n, true, nil
}

func (s *Subscription) wake() {
	select {
	case s.wakeUp <- struct{}{}:
	default:
	}
}

// deliver keeps a notification until the subscriber takes it.
func (s *Subscription) deliver(n Notification) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := subscriptionBuffer - len(s.waiting)
	switch {
	case !s.missed && room > 0:
		s.waiting = append(s.waiting, n)
	case s.missed && room > 1:
		s.waiting, s.missed = append(s.waiting, Notification{Gap: true}, n), false
	default:
		s.missed = true
	}
	s.wake()
}

// listening notes that the server listens to all channels. A subscriber that had listened
// before may have missed notifications.
func (s *Subscription) listening() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isReady {
		s.isReady = true
		close(s.ready)
		return
	}
	s.missed = true
	s.wake()
}

// endUnready ends a subscription for which the server has never listened.
func (s *Subscription) endUnready(err error) bool {
	s.mu.Lock()
	ready := s.isReady
	s.mu.Unlock()
	if !ready {
		s.end(err)
	}
	return !ready
}

// end ends the subscription for all waiters. The first error stays.
func (s *Subscription) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
		s.waiting = nil
		close(s.done)
	}
}

// Close ends the subscription: Next returns [ErrSubscriptionClosed]. A second Close is a
// no-op.
func (s *Subscription) Close() {
	s.end(ErrSubscriptionClosed)
	s.listener.remove(s)
}
