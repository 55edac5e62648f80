package main

import (
	"time"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/lifecycle"
)

// addPool adds the figures of a pool.
func (p *metricPage) addPool(m *lifecycle.Monitor, seen *poolEvents, s fxdb.PoolStats, opened int64, reachable bool) {
	p.gauge("connections_max", "Connections at most.", float64(s.Max))
	p.gauge("connections", "Connections: idle, active, and being opened.", float64(s.Total))
	p.gauge("connections_idle", "Connections without a holder.", float64(s.Idle))
	p.gauge("connections_active", "Connections with a holder.", float64(s.Active))
	p.gauge("acquires_waiting", "Callers that wait for a connection.", float64(s.Waiting))
	p.gauge("reachable", "1 if the server answers, even to a busy pool; otherwise 0.", oneIf(reachable))
	p.gauge("draining", "1 from the beginning of a stop; otherwise 0.", oneIf(s.Draining))
	p.counter("resets_total", "Resets of the pool because its server went away or became read-only.", float64(m.Resets()))
	for _, status := range []lifecycle.Status{lifecycle.Healthy, lifecycle.Degraded, lifecycle.Unhealthy} {
		p.gauge("status", "1 for the pool's status, 0 for each further status.", oneIf(s.Status == status), "status", status.String())
	}
	p.counter("connections_opened_total", "Connections opened.", float64(opened))
	const closed = "Connections closed, by reason: idle, lifetime, other."
	p.counter("connections_closed_total", closed, float64(s.IdleClosed), "reason", "idle")
	p.counter("connections_closed_total", closed, float64(s.LifetimeClosed), "reason", "lifetime")
	p.counter("connections_closed_total", closed, float64(seen.other(opened-int64(s.Total)-s.IdleClosed-s.LifetimeClosed)), "reason", "other")
	for _, c := range s.Clients {
		p.gauge("client_acquires_waiting", "Callers of the client that wait for a connection.", float64(c.Waiting), "client", c.Name)
		p.counter("client_acquires_would_wait_total", "Acquires of the client that would have waited, if DB_SHARING is dry-run.", float64(c.WouldWait), "client", c.Name)
		p.counter("client_system_uses_total", "Uses of the client outside any tenant, by tenant.System.", float64(c.System), "client", c.Name)
		seen.know(c.Name)
	}
	p.addHolds(m.Holders(), s.Clients)
	p.addIncidents(m.Incidents(), s.Clients)
	p.addEvents(seen)
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// addHolds adds the holds of the clients, and of other holders such as users of the raw pool.
func (p *metricPage) addHolds(holders []lifecycle.Holder, clients []fxdb.ClientStats) {
	type holds struct {
		n, tooLong int
		longest    time.Duration
	}
	all := make(map[string]holds)
	for _, c := range clients {
		all[c.Name] = holds{}
	}
	for _, h := range holders {
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
	for client, of := range sorted(all) {
		p.gauge("client_connections_held", "Connections that the client holds.", float64(of.n), "client", client)
		p.gauge("client_connections_held_too_long", "Connections that the client has held for longer than DB_LEAK_THRESHOLD_MS.", float64(of.tooLong), "client", client)
		p.gauge("client_longest_hold_seconds", "Age of the client's oldest hold; 0 if the client holds nothing, or waits for notifications.", of.longest.Seconds(), "client", client)
	}
}

func (p *metricPage) addIncidents(all map[string]lifecycle.Incidents, clients []fxdb.ClientStats) {
	for _, c := range clients {
		if _, known := all[c.Name]; !known {
			all[c.Name] = lifecycle.Incidents{}
		}
	}
	for client, of := range sorted(all) {
		p.counter("client_nested_acquires_total", "Acquires of the client by a goroutine that held a connection already, as far as DB_NESTED_ACQUIRE finds the acquires.", float64(of.Nested), "client", client)
		p.counter("client_slow_statements_total", "Statements of the client that took longer than DB_SLOW_QUERY_MS.", float64(of.Slow), "client", client)
		retries := map[string]int64{"40001": 0, "40P01": 0} // a counter's first step shows only after a 0
		for code, n := range of.Retries {
			if code == "" {
				code = "none"
			}
			retries[code] = n
		}
		for code, n := range sorted(retries) {
			p.counter("client_retries_total", "Repeated attempts of the client, by the SQLSTATE of the failed attempt; none: the connection broke without a word of the server.", float64(n), "client", client, "sqlstate", code)
		}
	}
}
