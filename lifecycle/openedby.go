package lifecycle

import (
	"fmt"
	"strings"
	"sync"
)

// Database names the database for people: host, port and name, no user and no
// password. If the connection string has several hosts, Database names the address of the
// server that the pool has met last.
func (m *Monitor) Database() string {
	cc := m.cfg.Pool.ConnConfig
	all := hostsOf(cc)
	if met := m.server.Load(); met != nil && met.address != "" && all[0].address != all[len(all)-1].address {
		return met.address + "/" + cc.Database
	}
	return m.asked()
}

// asked names the database by the first host of the connection string.
func (m *Monitor) asked() string {
	cc := m.cfg.Pool.ConnConfig
	return fmt.Sprintf("%s:%d/%s", cc.Host, cc.Port, cc.Database)
}

// Name distinguishes pools in metrics and traces: "Config.Name@host:port/database". Name holds
// no password and no user.
func (m *Monitor) Name() string {
	return strings.ToValidUTF8(m.cfg.Name+"@"+m.Database(), "\uFFFD")
}

// opened holds the started pools of the process, to report a second pool on the same
// database: the fault that the library exists to end.
var opened struct {
	sync.Mutex
	open map[string]*Monitor
}

func claimDatabase(m *Monitor) (other string) {
	if m.beside.Load() {
		return ""
	}
	opened.Lock()
	defer opened.Unlock()
	if first, ok := opened.open[m.asked()]; ok {
		return first.cfg.OpenedBy
	}
	if opened.open == nil {
		opened.open = make(map[string]*Monitor)
	}
	opened.open[m.asked()] = m
	return ""
}

func forgetDatabase(m *Monitor) {
	opened.Lock()
	defer opened.Unlock()
	if opened.open[m.asked()] == m {
		delete(opened.open, m.asked())
	}
}
