package fxdbprom

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/lifecycle"
)

// collector reads the figures of all pools at a scrape, and passes on the counts of the
// events. A single collector holds all pools: the registry adds and removes all together.
type collector struct {
	db    *fxdb.DB
	pools []*pool // the shared pool first, then the pools in the order of fxdb.Stats.Dedicated
}

// figure is a gauge or a counter, read at a scrape.
type figure struct {
	*prometheus.Desc
	kind prometheus.ValueType
}

// pool is the collector's part for a single pool.
type pool struct {
	monitor *lifecycle.Monitor
	events  *events
	all     []figure

	max, total, idle, active, waiting   figure
	held, clientWaiting, tooLong, hold  figure
	wouldWait, system                   figure
	nested, slow, retries               figure
	status, reachable, draining, resets figure
	opened, closed                      figure

	mu          sync.Mutex
	closedOther int64
}

func newCollector(db *fxdb.DB) *collector {
	c := &collector{db: db}
	for _, m := range db.Monitors() {
		c.pools = append(c.pools, newPool(m))
	}
	return c
}

func newPool(m *lifecycle.Monitor) *pool {
	labels := prometheus.Labels{"pool": m.Name()}
	p := &pool{monitor: m, events: newEvents(labels)}
	gauge := func(name, help string, by ...string) figure {
		f := figure{prometheus.NewDesc(namespace+"_"+name, help, by, labels), prometheus.GaugeValue}
		p.all = append(p.all, f)
		return f
	}
	counter := func(name, help string, by ...string) figure {
		f := gauge(name+"_total", help, by...)
		f.kind = prometheus.CounterValue
		return f
	}
	p.max = gauge("connections_max", "Connections at most.")
	p.total = gauge("connections", "Connections: idle, active, and being opened.")
	p.idle = gauge("connections_idle", "Connections without a holder.")
	p.active = gauge("connections_active", "Connections with a holder.")
	p.waiting = gauge("acquires_waiting", "Callers that wait for a connection.")
	p.held = gauge("client_connections_held", "Connections that the client holds.", "client")
	p.tooLong = gauge("client_connections_held_too_long", "Connections that the client has held for longer than DB_LEAK_THRESHOLD_MS.", "client")
	p.hold = gauge("client_longest_hold_seconds", "Age of the client's oldest hold; 0 if the client holds nothing, or waits for notifications.", "client")
	p.clientWaiting = gauge("client_acquires_waiting", "Callers of the client that wait for a connection.", "client")
	p.wouldWait = counter("client_acquires_would_wait", "Acquires of the client that would have waited, if DB_SHARING is dry-run.", "client")
	p.system = counter("client_system_uses", "Uses of the client outside any tenant, by tenant.System.", "client")
	p.nested = counter("client_nested_acquires", "Acquires of the client by a goroutine that held a connection already, as far as DB_NESTED_ACQUIRE finds them.", "client")
	p.slow = counter("client_slow_statements", "Statements of the client that took longer than DB_SLOW_QUERY_MS.", "client")
	p.retries = counter("client_retries", "Repeated attempts of the client, by the SQLSTATE of the failed attempt; none: the connection broke without a word of the server.", "client", "sqlstate")
	p.status = gauge("status", "1 for the pool's status, 0 for each further status.", "status")
	p.reachable = gauge("reachable", "1 if the server answers, even to a busy pool; otherwise 0.")
	p.draining = gauge("draining", "1 from the beginning of a stop; otherwise 0.")
	p.resets = counter("resets", "Resets of the pool because its server went away or became read-only.")
	p.opened = counter("connections_opened", "Connections opened.")
	p.closed = counter("connections_closed", "Connections closed, by reason: idle, lifetime, other.", "reason")
	return p
}

// observe subscribes the events to all pools, until the caller calls stop.
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

// Describe sends all descriptions. The registry identifies the collector by the descriptions.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, p := range c.pools {
		for _, f := range p.all {
			ch <- f.Desc
		}
		p.events.Describe(ch)
	}
}

// Collect is safe before a start and after a stop. Collect probes the server of a pool, unless
// the pool's own traffic has just proved that the server answers.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	reachable := make([]bool, len(c.pools))
	var asked sync.WaitGroup
	for i, p := range c.pools {
		asked.Go(func() { reachable[i] = p.monitor.Reachable(context.Background()) })
	}
	asked.Wait()
	// Collect reads Opened before Stats: in the reverse order, a connection opened in between
	// would count as closed.
	opened := make([]int64, len(c.pools))
	for i, p := range c.pools {
		opened[i] = p.monitor.Opened()
	}
	shared := c.db.Stats()
	for i, d := range shared.Dedicated {
		c.pools[i+1].collect(ch, d, opened[i+1], reachable[i+1])
		shared.Clients = slices.DeleteFunc(shared.Clients, func(s fxdb.ClientStats) bool { return s.Name == d.Client })
	}
	c.pools[0].collect(ch, shared.PoolStats, opened[0], reachable[0])
}

// sending sends figures, and makes labels valid UTF-8: client_golang panics on an invalid label.
type sending chan<- prometheus.Metric

func (ch sending) send(f figure, v float64, labels ...string) {
	for i := range labels {
		labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
	}
	ch <- prometheus.MustNewConstMetric(f.Desc, f.kind, v, labels...)
}

func (p *pool) collect(to chan<- prometheus.Metric, s fxdb.PoolStats, opened int64, reachable bool) {
	ch := sending(to)
	ch.send(p.max, float64(s.Max))
	ch.send(p.total, float64(s.Total))
	ch.send(p.idle, float64(s.Idle))
	ch.send(p.active, float64(s.Active))
	ch.send(p.waiting, float64(s.Waiting))
	ch.send(p.reachable, oneIf(reachable))
	ch.send(p.draining, oneIf(s.Draining))
	ch.send(p.resets, float64(p.monitor.Resets()))
	for _, status := range []lifecycle.Status{lifecycle.Healthy, lifecycle.Degraded, lifecycle.Unhealthy} {
		ch.send(p.status, oneIf(s.Status == status), status.String())
	}
	for _, client := range s.Clients {
		ch.send(p.clientWaiting, float64(client.Waiting), client.Name)
		ch.send(p.wouldWait, float64(client.WouldWait), client.Name)
		ch.send(p.system, float64(client.System), client.Name)
		p.events.of(client.Name) // Prometheus shows a counter's first step only after a scrape at 0
	}
	p.collectHolds(ch, s.Clients)
	p.collectIncidents(ch, s.Clients)

	ch.send(p.opened, float64(opened))
	ch.send(p.closed, float64(s.IdleClosed), "idle")
	ch.send(p.closed, float64(s.LifetimeClosed), "lifetime")
	ch.send(p.closed, float64(p.other(opened-int64(s.Total)-s.IdleClosed-s.LifetimeClosed)), "other")
	p.events.Collect(to)
}

// collectHolds sends the holds of each named client, and of each other holder, for example
// of the raw pool's users.
func (p *pool) collectHolds(ch sending, clients []fxdb.ClientStats) {
	type holds struct {
		n, tooLong int
		longest    time.Duration
	}
	all := make(map[string]holds)
	for _, client := range clients {
		all[client.Name] = holds{}
	}
	for _, h := range p.monitor.Holders() {
		of := all[h.Client]
		of.n++
		if h.TooLong {
			of.tooLong++
		}
		if !h.Listens {
			of.longest = max(of.longest, time.Since(h.Since))
		}
		all[h.Client] = of
	}
	for client, of := range all {
		ch.send(p.held, float64(of.n), client)
		ch.send(p.tooLong, float64(of.tooLong), client)
		ch.send(p.hold, of.longest.Seconds(), client)
	}
}

func (p *pool) collectIncidents(ch sending, clients []fxdb.ClientStats) {
	all := p.monitor.Incidents()
	for _, client := range clients {
		if _, known := all[client.Name]; !known {
			all[client.Name] = lifecycle.Incidents{}
		}
	}
	for client, of := range all {
		ch.send(p.nested, float64(of.Nested), client)
		ch.send(p.slow, float64(of.Slow), client)
		for code, n := range of.Retries {
			if code == "" {
				code = "none"
			}
			ch.send(p.retries, float64(n), client, code)
		}
		for _, usual := range []string{"40001", "40P01"} {
			if _, known := of.Retries[usual]; !known {
				ch.send(p.retries, 0, client, usual)
			}
		}
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// other keeps the count from falling while the pool opens or closes a connection.
func (p *pool) other(closed int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closedOther = max(p.closedOther, closed)
	return p.closedOther
}
