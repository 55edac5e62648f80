package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agentagency/onepool/examples/internal/measure"
)

// load is the number of goroutines that use the clients. The steady goroutines work all the time.
// Each goroutine of the burst, if any, runs burstOps operations and ends.
type load struct{ steady, burst int }

const burstOps = 5

// String returns "64", or "64 + 1000" with a burst.
func (l load) String() string {
	if l.burst == 0 {
		return fmt.Sprint(l.steady)
	}
	return fmt.Sprintf("%d + %d", l.steady, l.burst)
}

// The figures of one measurement.
const (
	throughput = iota
	p50
	p99
	burstTime
	connections
	memory
	serverCPU
	clientCPU
	startTime
	stopTime
	figures
)

// titles name the figures with their units.
var titles = [figures]string{
	throughput:  "throughput, op/s",
	p50:         "latency p50, ms",
	p99:         "latency p99, ms",
	burstTime:   fmt.Sprintf("burst of %d operations each done, ms", burstOps),
	connections: "connections on the server",
	memory:      "private memory of the backends, MiB",
	serverCPU:   "server CPU per operation, µs",
	clientCPU:   "client CPU per operation, µs",
	startTime:   "start until every client had an answer, ms",
	stopTime:    "stop, ms",
}

// result holds the figures of a measurement. A figure is NaN if the figure does not apply, or if
// the system does not report the figure.
type result [figures]float64

// The two measurements of a run.
const (
	fresh = iota
	warm
	measurements
)

// measureOnce opens world w, puts the load on w twice, and closes w.
func measureOnce(ctx context.Context, server *measure.Server, w world, l load, window time.Duration) (res [measurements]result, err error) {
	began := time.Now()
	r, err := w.open(ctx)
	if r == nil {
		return res, fmt.Errorf("%s: %w", w.name, err)
	}
	opened := measure.Milliseconds(time.Since(began))
	for m := range res {
		if err == nil && m == warm {
			err = r.warm(ctx)
		}
		if err == nil {
			res[m], err = drive(ctx, server, r.clients, l, window)
		}
	}
	began = time.Now()
	if err = errors.Join(err, r.close(context.WithoutCancel(ctx))); err != nil {
		return res, fmt.Errorf("%s, %s goroutines: %w", w.name, l, err)
	}
	res[fresh][startTime], res[warm][stopTime] = opened, measure.Milliseconds(time.Since(began))
	return res, server.WaitForNoBackends(ctx)
}

// drive puts the load on the clients for the window. Only the steady goroutines' latencies count:
// the burst's latencies measure the length of the burst's queue.
func drive(ctx context.Context, server *measure.Server, all []*client, l load, window time.Duration) (res result, err error) {
	for i := range res {
		res[i] = math.NaN()
	}
	var stop atomic.Bool
	latencies := make([][]time.Duration, l.steady+l.burst)
	group, gctx := errgroup.WithContext(ctx)
	run := func(i int, more func(done int) bool) error {
		// Each goroutine uses one client, as a request uses one module.
		c, random := all[i%len(all)], rand.New(rand.NewPCG(uint64(i), 1))
		for more(len(latencies[i])) {
			began := time.Now()
			if err := c.do(gctx, random); err != nil {
				return err
			}
			latencies[i] = append(latencies[i], time.Since(began))
		}
		return nil
	}
	serverBefore, clientBefore, began := server.CPU(), measure.CPU(os.Getpid()), time.Now()
	for i := range l.steady {
		group.Go(func() error { return run(i, func(int) bool { return !stop.Load() }) })
	}
	if l.burst > 0 {
		measure.Wait(gctx, window/3)
		from := time.Now()
		var burst sync.WaitGroup
		for i := range l.burst {
			burst.Add(1)
			group.Go(func() error {
				defer burst.Done()
				return run(l.steady+i, func(done int) bool { return done < burstOps })
			})
		}
		burst.Wait()
		res[burstTime] = measure.Milliseconds(time.Since(from))
	}
	measure.Wait(gctx, window-time.Since(began))
	stop.Store(true)
	if err := group.Wait(); err != nil {
		return res, err
	}
	took, operations := time.Since(began), float64(len(slices.Concat(latencies...)))
	res[serverCPU], res[clientCPU] = (server.CPU()-serverBefore)*1e6/operations, (measure.CPU(os.Getpid())-clientBefore)*1e6/operations
	steady := slices.Concat(latencies[:l.steady]...)
	slices.Sort(steady)
	res[throughput] = operations / took.Seconds()
	res[p50] = measure.Milliseconds(measure.Quantile(steady, 0.50))
	res[p99] = measure.Milliseconds(measure.Quantile(steady, 0.99))
	pids, err := server.Backends(ctx)
	if err != nil {
		return res, err
	}
	res[connections] = float64(len(pids))
	res[memory] = measure.PrivateMemory(pids)
	return res, ctx.Err()
}
