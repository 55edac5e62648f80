package lifecycle

import "time"

// ForgetAnswers makes the next look at the pool ask the server.
func (m *Monitor) ForgetAnswers() {
	m.health.lastAnswer.Store(0)
	m.health.mu.Lock()
	defer m.health.mu.Unlock()
	m.health.checkedAt = time.Time{}
}
