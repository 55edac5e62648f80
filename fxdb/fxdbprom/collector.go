package fxdbprom

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/lifecycle"
)

// collector reads the pool's figures when it is scraped, and passes on what the
// events counted. It is one collector, so that it comes and goes as a whole.
type collector struct {
	db     *fxdb.DB
	events *events

	max, total, idle, active, waiting *prometheus.Desc
	held, clientWaiting               *prometheus.Desc
	status                            *prometheus.Desc
	opened, closed                    *prometheus.Desc

	mu          sync.Mutex
	closedOther int64
}

func newCollector(db *fxdb.DB) *collector {
	pool := prometheus.Labels{"pool": poolName(db)}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(namespace+"_"+name, help, labels, pool)
	}
	return &collector{
		db:            db,
		events:        newEvents(pool),
		max:           desc("connections_max", "Connections at most."),
		total:         desc("connections", "Connections: idle, active, and being opened."),
		idle:          desc("connections_idle", "Connections that nobody holds."),
		active:        desc("connections_active", "Connections that somebody holds."),
		waiting:       desc("acquires_waiting", "Callers that wait for a connection."),
		held:          desc("client_connections_held", "Connections that the client holds.", "client"),
		clientWaiting: desc("client_acquires_waiting", "Callers of the client that wait for a connection.", "client"),
		status:        desc("status", "1 for the pool's status, 0 for the others.", "status"),
		opened:        desc("connections_opened_total", "Connections opened."),
		closed:        desc("connections_closed_total", "Connections closed, by reason: idle, lifetime, other.", "reason"),
	}
}

// poolName tells pools apart. It holds no password and no user.
func poolName(db *fxdb.DB) string {
	application := db.Pool().Config().ConnConfig.RuntimeParams["application_name"]
	return application + "@" + db.Monitor().Database()
}

// Describe sends all descriptions: they are the collector's identity in the registry.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.max, c.total, c.idle, c.active, c.waiting, c.held, c.clientWaiting, c.status, c.opened, c.closed,
	} {
		ch <- d
	}
	c.events.Describe(ch)
}

// Collect sends nothing to the server, and is safe before a start and after a stop.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	// Before the rest, so that a connection opened meanwhile is not taken for one
	// that was closed.
	opened := c.db.Monitor().Opened()
	s := c.db.Stats()

	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	gauge(c.max, s.Max)
	gauge(c.total, s.Total)
	gauge(c.idle, s.Idle)
	gauge(c.active, s.Active)
	gauge(c.waiting, s.Waiting)
	for _, status := range []lifecycle.Status{lifecycle.Healthy, lifecycle.Degraded, lifecycle.Unhealthy} {
		is := 0
		if s.Status == status {
			is = 1
		}
		gauge(c.status, is, status.String())
	}

	held := make(map[string]int)
	for _, client := range s.Clients {
		held[client.Name] = 0
		gauge(c.clientWaiting, client.Waiting, client.Name)
		c.events.of(client.Name) // a counter has to be seen at 0 for its first step to show
	}
	// Stats has those who were named; uses of the raw pool are holders too.
	for _, h := range c.db.Monitor().Holders() {
		held[h.Client]++
	}
	for client, n := range held {
		gauge(c.held, n, client)
	}

	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	counter(c.opened, opened)
	counter(c.closed, s.IdleClosed, "idle")
	counter(c.closed, s.LifetimeClosed, "lifetime")
	counter(c.closed, c.other(opened-int64(s.Total)-s.IdleClosed-s.LifetimeClosed), "other")

	c.events.Collect(ch)
}

// other keeps the count from falling while a connection is being opened or closed.
func (c *collector) other(closed int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closedOther = max(c.closedOther, closed)
	return c.closedOther
}
