package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/lifecycle"
)

// metricsMedia is the type of Prometheus's text format.
const metricsMedia = "text/plain; version=0.0.4; charset=utf-8"

// metricPage is a page of figures in Prometheus's text format. The figures have the names and
// labels of package fxdbprom, so the rules and the dashboard beside fxdbprom fit the page. The
// module of the server does not depend on the Prometheus client, which fxdbprom needs.
type metricPage struct {
	pool     string // the label of the next figures
	families []*metricFamily
	by       map[string]*metricFamily
}

// metricFamily is a figure's series, a line for each sample.
type metricFamily struct {
	name, kind, help string
	lines            []string
}

func (p *metricPage) family(name, kind, help string) *metricFamily {
	if p.by[name] == nil {
		p.by[name] = &metricFamily{name: name, kind: kind, help: help}
		p.families = append(p.families, p.by[name])
	}
	return p.by[name]
}

func (p *metricPage) gauge(name, help string, value float64, labels ...string) {
	p.add(p.family(name, "gauge", help), "", value, labels)
}

func (p *metricPage) counter(name, help string, value float64, labels ...string) {
	p.add(p.family(name, "counter", help), "", value, labels)
}

func (p *metricPage) histogram(name, help string, h histogram, labels ...string) {
	f := p.family(name, "histogram", help)
	var below int64
	for i, n := range h.counts {
		below += n
		bound := "+Inf"
		if i < len(buckets) {
			bound = decimal(buckets[i])
		}
		p.add(f, "_bucket", float64(below), append(slices.Clone(labels), "le", bound))
	}
	p.add(f, "_sum", h.sum, labels)
	p.add(f, "_count", float64(below), labels)
}

// labelText escapes a label's value as the format asks.
var labelText = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// add adds a sample. labels are names and values in turn.
func (p *metricPage) add(f *metricFamily, suffix string, value float64, labels []string) {
	var text strings.Builder
	fmt.Fprintf(&text, `onepool_%s%s{pool="%s"`, f.name, suffix, labelText.Replace(p.pool))
	for pair := range slices.Chunk(labels, 2) {
		fmt.Fprintf(&text, `,%s="%s"`, pair[0], labelText.Replace(strings.ToValidUTF8(pair[1], "\uFFFD")))
	}
	f.lines = append(f.lines, text.String()+"} "+decimal(value))
}

func decimal(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func (p *metricPage) writeTo(w io.Writer) {
	for _, f := range p.families {
		fmt.Fprintf(w, "# HELP onepool_%s %s\n# TYPE onepool_%s %s\n%s\n", f.name, f.help, f.name, f.kind, strings.Join(f.lines, "\n"))
	}
}

// serveMetrics answers with the figures of the shared pool and of the clients' own pools. The
// figures name no tenant, no host and no database: the label pool is "shared" or a client.
func serveMetrics(db *fxdb.DB) http.Handler {
	monitors := db.Monitors() // the shared pool's first
	seen := make([]*poolEvents, len(monitors))
	for i, m := range monitors {
		seen[i] = newPoolEvents()
		m.Observe(seen[i]) // for as long as the pool lives
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reachable := askAll(r.Context(), monitors)
		opened := make([]int64, len(monitors)) // before the other figures: an opening connection is no closed connection
		for i, m := range monitors {
			opened[i] = m.Opened()
		}
		stats := db.Stats()
		page := &metricPage{pool: "shared", by: make(map[string]*metricFamily)}
		page.addPool(monitors[0], seen[0], sharedPool(stats), opened[0], reachable[0])
		for i, d := range stats.Dedicated {
			page.pool = d.Client
			page.addPool(monitors[i+1], seen[i+1], d, opened[i+1], reachable[i+1])
		}
		w.Header().Set("Content-Type", metricsMedia)
		page.writeTo(w)
	})
}

// askAll asks all servers at the same time. A pool whose traffic proves that the server answers asks nothing.
func askAll(ctx context.Context, monitors []*lifecycle.Monitor) []bool {
	reachable := make([]bool, len(monitors))
	var asked sync.WaitGroup
	for i, m := range monitors {
		asked.Go(func() { reachable[i] = m.Reachable(ctx) })
	}
	asked.Wait()
	return reachable
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
