package main

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/lifecycle"
)

// metricsMedia is the type of Prometheus's text format.
const metricsMedia = "text/plain; version=0.0.4; charset=utf-8"

// metric is a figure of each pool, with fxdbprom's name of the figure. The histograms of
// fxdbprom need the Prometheus client: the module does not depend on the Prometheus client.
type metric struct {
	name, kind, help string
	samples          func(fxdb.PoolStats) []sample
}

type sample struct {
	label, value string // none if label is empty
	n            int64
}

func one(n int64) []sample { return []sample{{n: n}} }

func byClient(figure func(fxdb.ClientStats) int64) func(fxdb.PoolStats) []sample {
	return func(s fxdb.PoolStats) (all []sample) {
		for _, c := range s.Clients {
			all = append(all, sample{"client", c.Name, figure(c)})
		}
		return all
	}
}

var metrics = []metric{
	{"onepool_connections_max", "gauge", "Connections at most.", func(s fxdb.PoolStats) []sample { return one(int64(s.Max)) }},
	{"onepool_connections", "gauge", "Connections: idle, active, and being opened.", func(s fxdb.PoolStats) []sample { return one(int64(s.Total)) }},
	{"onepool_connections_idle", "gauge", "Connections that nobody holds.", func(s fxdb.PoolStats) []sample { return one(int64(s.Idle)) }},
	{"onepool_connections_active", "gauge", "Connections that somebody holds.", func(s fxdb.PoolStats) []sample { return one(int64(s.Active)) }},
	{"onepool_acquires_waiting", "gauge", "Callers that wait for a connection.", func(s fxdb.PoolStats) []sample { return one(int64(s.Waiting)) }},
	{"onepool_connections_opened_total", "counter", "Connections opened.", func(s fxdb.PoolStats) []sample { return one(s.Opened) }},
	{"onepool_status", "gauge", "1 for the pool's status, 0 for the others.", statusSamples},
	{"onepool_client_connections_held", "gauge", "Connections that the client holds.", byClient(func(c fxdb.ClientStats) int64 { return int64(c.Held) })},
	{"onepool_client_acquires_waiting", "gauge", "Callers of the client that wait for a connection.", byClient(func(c fxdb.ClientStats) int64 { return int64(c.Waiting) })},
	{"onepool_client_acquired_total", "counter", "Acquires of the client that got a connection.", byClient(func(c fxdb.ClientStats) int64 { return int64(c.Acquired) })},
}

func statusSamples(s fxdb.PoolStats) (all []sample) {
	for _, status := range []lifecycle.Status{lifecycle.Healthy, lifecycle.Degraded, lifecycle.Unhealthy} {
		is := int64(0)
		if s.Status == status {
			is = 1
		}
		all = append(all, sample{"status", status.String(), is})
	}
	return all
}

// serveMetrics answers with the figures of the shared pool and of the clients' own pools.
// The figures name no tenant, no host and no database.
func serveMetrics(db *fxdb.DB) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stats := db.Stats()
		var text bytes.Buffer
		for _, m := range metrics {
			fmt.Fprintf(&text, "# HELP %s %s\n# TYPE %s %s\n", m.name, m.help, m.name, m.kind)
			m.write(&text, "shared", sharedPool(stats))
			for _, d := range stats.Dedicated {
				m.write(&text, d.Client, d.PoolStats)
			}
		}
		w.Header().Set("Content-Type", metricsMedia)
		_, _ = w.Write(text.Bytes())
	})
}

// sharedPool is the shared pool's part of the figures, without the clients of dedicated pools.
func sharedPool(s fxdb.Stats) fxdb.PoolStats {
	own := map[string]bool{}
	for _, d := range s.Dedicated {
		own[d.Client] = true
	}
	shared := s.PoolStats
	shared.Clients = nil
	for _, c := range s.Clients {
		if !own[c.Name] {
			shared.Clients = append(shared.Clients, c)
		}
	}
	return shared
}

// labelText escapes a label's value as the format asks.
var labelText = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (m metric) write(text *bytes.Buffer, pool string, s fxdb.PoolStats) {
	for _, sample := range m.samples(s) {
		labels := `pool="` + labelText.Replace(pool) + `"`
		if sample.label != "" {
			labels += "," + sample.label + `="` + labelText.Replace(sample.value) + `"`
		}
		fmt.Fprintf(text, "%s{%s} %d\n", m.name, labels, sample.n)
	}
}
