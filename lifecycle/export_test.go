package lifecycle

import (
	"context"
	"time"
)

// ForgetAnswers makes the next look at the pool ask the server.
func (m *Monitor) ForgetAnswers() {
	m.health.lastAnswer.Store(0)
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.checkedAt = time.Time{}
}

// LookAfterLoss looks at the server now, as the monitor does when it was told of a loss.
func (m *Monitor) LookAfterLoss(ctx context.Context) { m.lookAfterLoss(ctx) }

// Listening is how many connections are held by somebody who waits for notifications.
func (m *Monitor) Listening() (n int) {
	for _, s := range m.heldSlots() {
		if s.listening() {
			n++
		}
	}
	return n
}
