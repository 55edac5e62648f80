package fxdbprom

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/lifecycle"
)

// collector reads the figures of all pools when it is scraped, and passes on what the
// events counted. It is one collector, so that it comes and goes as a whole.
type collector struct {
	db    *fxdb.DB
	pools []*pool // the shared one first, then as fxdb.Stats.Dedicated has them
}

// pool is one pool's part of the collector.
type pool struct {
	monitor *lifecycle.Monitor
	events  *events

	max, total, idle, active, waiting *prometheus.Desc
	held, clientWaiting               *prometheus.Desc
	wouldWait, system                 *prometheus.Desc
	status                            *prometheus.Desc
	opened, closed                    *prometheus.Desc

	mu          sync.Mutex
	closedOther int64
}

func newCollector(db *fxdb.DB) *collector {
	c := &collector{db: db}
	all, dedicated := db.Monitors(), db.Stats().Dedicated
	for i, m := range all {
		name := ""
		if i > 0 {
			name = "/" + dedicated[i-1].Client
		}
		c.pools = append(c.pools, newPool(m, name))
	}
	return c
}

func newPool(m *lifecycle.Monitor, client string) *pool {
	labels := prometheus.Labels{"pool": nameOf(m, client)}
	desc := func(name, help string, by ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, by, labels)
	}
	return &pool{
		monitor:       m,
		events:        newEvents(labels),
		max:           desc("connections_max", "Connections at most."),
		total:         desc("connections", "Connections: idle, active, and being opened."),
		idle:          desc("connections_idle", "Connections that nobody holds."),
		active:        desc("connections_active", "Connections that somebody holds."),
		waiting:       desc("acquires_waiting", "Callers that wait for a connection."),
		held:          desc("client_connections_held", "Connections that the client holds.", "client"),
		clientWaiting: desc("client_acquires_waiting", "Callers of the client that wait for a connection.", "client"),
		wouldWait:     desc("client_acquires_would_wait_total", "Acquires of the client that would have waited, where DB_SHARING is dry-run.", "client"),
		system:        desc("client_system_uses_total", "Uses of the client outside any tenant, by tenant.System.", "client"),
		status:        desc("status", "1 for the pool's status, 0 for the others.", "status"),
		opened:        desc("connections_opened_total", "Connections opened."),
		closed:        desc("connections_closed_total", "Connections closed, by reason: idle, lifetime, other.", "reason"),
	}
}

// poolName tells pools apart. It holds no password and no user.
func poolName(db *fxdb.DB) string { return nameOf(db.Monitors()[0], "") }

func nameOf(m *lifecycle.Monitor, client string) string {
	application := m.Pool().Config().ConnConfig.RuntimeParams["application_name"]
	return application + client + "@" + m.Database()
}

// observe tells the events of all pools, until stop is called.
func (c *collector) observe() (stop func()) {
	var all []func()
	for _, p := range c.pools {
		all = append(all, p.monitor.Observe(p.events))
	}
	return func() {
		for _, stop := range all {
			stop()
		}
	}
}

// Describe sends all descriptions: they are the collector's identity in the registry.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, p := range c.pools {
		for _, d := range []*prometheus.Desc{
			p.max, p.total, p.idle, p.active, p.waiting, p.held, p.clientWaiting, p.wouldWait, p.system, p.status, p.opened, p.closed,
		} {
			ch <- d
		}
		p.events.Describe(ch)
	}
}

// Collect sends nothing to the server, and is safe before a start and after a stop.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	// Before the rest, so that a connection opened meanwhile is not taken for one
	// that was closed.
	opened := make([]int64, len(c.pools))
	for i, p := range c.pools {
		opened[i] = p.monitor.Opened()
	}
	shared := c.db.Stats()
	for i, d := range shared.Dedicated {
		c.pools[i+1].collect(ch, d.PoolStats, opened[i+1])
		shared.Clients = slices.DeleteFunc(shared.Clients, func(s fxdb.ClientStats) bool { return s.Name == d.Client })
	}
	c.pools[0].collect(ch, shared.PoolStats, opened[0])
}

func (p *pool) collect(ch chan<- prometheus.Metric, s fxdb.PoolStats, opened int64) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge(p.max, s.Max)
	gauge(p.total, s.Total)
	gauge(p.idle, s.Idle)
	gauge(p.active, s.Active)
	gauge(p.waiting, s.Waiting)
	for _, status := range []lifecycle.Status{lifecycle.Healthy, lifecycle.Degraded, lifecycle.Unhealthy} {
		is := 0
		if s.Status == status {
			is = 1
		}
		gauge(p.status, is, status.String())
	}

	held := make(map[string]int)
	for _, client := range s.Clients {
		held[client.Name] = 0
		gauge(p.clientWaiting, client.Waiting, client.Name)
		counter(p.wouldWait, client.WouldWait, client.Name)
		counter(p.system, int64(client.System), client.Name)
		p.events.of(client.Name) // a counter has to be seen at 0 for its first step to show
	}
	// Stats has those who were named; uses of the raw pool are holders too.
	for _, h := range p.monitor.Holders() {
		held[h.Client]++
	}
	for client, n := range held {
		gauge(p.held, n, client)
	}

	counter(p.opened, opened)
	counter(p.closed, s.IdleClosed, "idle")
	counter(p.closed, s.LifetimeClosed, "lifetime")
	counter(p.closed, p.other(opened-int64(s.Total)-s.IdleClosed-s.LifetimeClosed), "other")

	p.events.Collect(ch)
}

// other keeps the count from falling while a connection is being opened or closed.
func (p *pool) other(closed int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closedOther = max(p.closedOther, closed)
	return p.closedOther
}
