package lifecycle

import (
	"fmt"
	"sync"
)

// Database names the database for people: host, port and name, no user and no
// password.
func (m *Monitor) Database() string {
	cc := m.cfg.Pool.ConnConfig
	return fmt.Sprintf("%s:%d/%s", cc.Host, cc.Port, cc.Database)
}

// origins knows the started pools of this process, to report a second one on
// the same database: the fault that this library exists to end.
var origins struct {
	sync.Mutex
	open map[string]*Monitor
}

func claimOrigin(m *Monitor) (other string) {
	if m.beside {
		return ""
	}
	origins.Lock()
	defer origins.Unlock()
	if first, ok := origins.open[m.Database()]; ok {
		return first.cfg.Origin
	}
	if origins.open == nil {
		origins.open = make(map[string]*Monitor)
	}
	origins.open[m.Database()] = m
	return ""
}

func forgetOrigin(m *Monitor) {
	origins.Lock()
	defer origins.Unlock()
	if origins.open[m.Database()] == m {
		delete(origins.open, m.Database())
	}
}
