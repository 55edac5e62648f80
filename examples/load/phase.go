package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/agentagency/onepool/examples/internal/measure"
)

// outage is the time in which requests may fail: from the moment the server goes
// down until grace after it takes connections again.
type outage struct{ down, back time.Time }

// grace is what the application may take to notice that its server is back.
const grace = 2 * time.Second

func (o outage) touches(r request) bool {
	return r.ended.After(o.down) && r.began.Before(o.back.Add(grace))
}

// phase is one crowd and what came of it.
type phase struct {
	clients         int
	took            time.Duration
	outage          outage
	answered        int
	latencies       []time.Duration // of what was answered outside the outage, sorted
	excused, failed map[string]int  // failures in the outage, and outside of it
	connections     float64         // the most that were seen
	early, late     float64         // memory in MiB when all clients are at work, and at the end; NaN where it is not known
}

// sample is a look at server and application. What the system does not tell is NaN.
type sample struct {
	at                  time.Time
	connections, memory float64
}

// runPhase lets the crowd loose for the duration, or until it has asked so often,
// and restarts the server half-way.
func runPhase(ctx context.Context, s *server, a *application, clients int, duration time.Duration, limit int64) (phase, error) {
	p := phase{clients: clients}
	began := time.Now()
	working, stop := context.WithTimeout(ctx, duration)
	defer stop()
	crowd := newCrowd(a.url, clients, limit)
	var beside sync.WaitGroup
	var restartErr error
	beside.Go(func() {
		select {
		case <-crowd.half:
		case <-time.After(duration / 2):
		case <-ctx.Done():
		}
		p.outage.down = time.Now()
		restartErr = s.restart(ctx)
		p.outage.back = time.Now()
	})
	var samples []sample
	watching, enough := context.WithCancel(ctx)
	beside.Go(func() {
		for watching.Err() == nil {
			samples = append(samples, sample{time.Now(), s.connections(ctx), a.memory()})
			measure.Wait(watching, 200*time.Millisecond)
		}
	})
	requests := crowd.run(working)
	p.took = time.Since(began)
	enough()
	beside.Wait()
	p.judge(requests, samples, began)
	if restartErr != nil {
		return p, restartErr
	}
	return p, ctx.Err()
}

// judge sorts what was seen.
func (p *phase) judge(requests []request, samples []sample, began time.Time) {
	p.excused, p.failed = make(map[string]int), make(map[string]int)
	for _, r := range requests {
		switch touched := p.outage.touches(r); {
		case r.failure != "" && touched:
			p.excused[r.failure]++
		case r.failure != "":
			p.failed[r.failure]++
		default:
			p.answered++
			if !touched {
				p.latencies = append(p.latencies, r.ended.Sub(r.began))
			}
		}
	}
	slices.Sort(p.latencies)
	var early, late []float64
	for _, s := range samples {
		if s.connections > p.connections { // never so for NaN
			p.connections = s.connections
		}
		switch at := s.at.Sub(began); {
		case at > p.took/10 && at < p.took/4:
			early = append(early, s.memory)
		case at > p.took*85/100:
			late = append(late, s.memory)
		}
	}
	p.early, p.late = measure.Median(early), measure.Median(late)
}

// problems are the reasons why the phase did not pass.
func (p phase) problems(pool int) (all []string) {
	add := func(format string, args ...any) {
		all = append(all, fmt.Sprintf("%d clients: ", p.clients)+fmt.Sprintf(format, args...))
	}
	if p.answered == 0 {
		add("no request was answered")
	}
	if len(p.failed) > 0 {
		add("requests failed while the server was there: %s", tally(p.failed))
	}
	// A server that does not answer is probed over a connection apart.
	if p.connections > float64(pool+1) {
		add("%g connections, more than the pool's %d and its probe", p.connections, pool)
	}
	if p.late > p.early*1.5+32 { // never so for NaN
		add("memory grew from %s to %s MiB", measure.Number(p.early), measure.Number(p.late))
	}
	return all
}

// tally is "GET 503: 12, no answer: 1".
func tally(failures map[string]int) string {
	var parts []string
	for name, n := range failures {
		parts = append(parts, fmt.Sprintf("%s: %d", name, n))
	}
	if len(parts) == 0 {
		return "none"
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
