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

// outage is the time of a restart: the server stops at down, and takes connections again at back.
// Requests may fail from down until grace after back.
type outage struct{ down, back time.Time }

// grace is the time for the application to notice the server's return.
const grace = 2 * time.Second

func (o outage) touches(r request) bool {
	return r.ended.After(o.down) && r.began.Before(o.back.Add(grace))
}

// phase is the result of one crowd.
type phase struct {
	clients         int
	took            time.Duration
	outage          outage
	answered        int
	latencies       []time.Duration // of the requests answered outside the outage, sorted
	excused, failed map[string]int  // count of each failure, during the outage and outside
	connections     float64         // maximum of the samples
	early, late     float64         // memory in MiB, at full work and at the end; NaN if unknown
}

// sample holds the number of connections and the application's memory in MiB at one moment.
// A figure is NaN if the system does not report the figure.
type sample struct {
	at                  time.Time
	connections, memory float64
}

// runPhase runs a crowd until the duration is over or the crowd reaches the limit of requests,
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

// judge computes the phase's figures from the requests and the samples.
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
		if s.connections > p.connections { // false for NaN
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

// problems returns the reasons for the failure of the phase, none if the phase passed.
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
	// If the server does not answer, the application probes over one additional connection.
	if p.connections > float64(pool+1) {
		add("%g connections, more than the pool's %d and its probe", p.connections, pool)
	}
	if p.late > p.early*1.5+32 { // false for NaN
		add("memory grew from %s to %s MiB", measure.Number(p.early), measure.Number(p.late))
	}
	return all
}

// tally formats the failures, for example as "GET 503: 12, no answer: 1".
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
