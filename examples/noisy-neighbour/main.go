// A noisy neighbour: a flooder uses a pool from 200 goroutines while four victims want a short
// answer every 10 ms.
//
//	go run ./examples/noisy-neighbour    # about five minutes
//
// Each scenario runs on a pool of plain pgxpool and on onepool's pool. Plain pgxpool serves callers
// in the order of arrival. onepool runs with the defaults, unless the scenario's name gives a
// setting. Two figures count: the victims' waits for a connection, and the flooder's throughput
// relative to the flooder's throughput on the plain pool.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/agentagency/onepool/examples/internal/measure"
)

func main() { os.Exit(measure.Run(run)) }

// The size of the default run.
const (
	poolSize  = 20
	floodSize = 200
)

func scenarios() []scenario {
	sleep := func(d time.Duration) string { return fmt.Sprintf("select pg_sleep(%g)", d.Seconds()) }
	const short, long = 50 * time.Millisecond, 500 * time.Millisecond
	// The statement takes about 20 ms of a processor's time.
	const busy = "select count(*) from generate_series(1, 100000)"
	all := []scenario{
		{name: "50 ms", sql: sleep(short), length: short},
		{name: "500 ms", sql: sleep(long), length: long},
		{name: "50 ms, the others at the same moments", sql: sleep(short), length: short, joined: true},
		{name: "500 ms, the others at the same moments", sql: sleep(long), length: long, joined: true},
		{name: "50 ms, the others idle", sql: sleep(short), length: short, alone: true},
		{name: "500 ms, the others idle", sql: sleep(long), length: long, alone: true},
		{name: "busy processors", sql: busy, length: short},
		{name: "busy processors, MaxConns(3)", sql: busy, length: short, maxConns: 3},
		{name: "tenants of one client, 50 ms", sql: sleep(short), length: short, tenants: true},
		{name: "tenants of one client, 500 ms", sql: sleep(long), length: long, tenants: true},
		{name: "tenants, 50 ms, DB_TENANT_MAX_FRACTION=0.5", sql: sleep(short), length: short, tenants: true, tenantMaxFraction: 0.5},
	}
	for i := range all {
		all[i].pool, all[i].flood = poolSize, floodSize
	}
	return all
}

// comparison is a scenario with its rounds on both systems.
type comparison struct {
	scenario
	plain, shared []outcome
}

// run writes the table to out, and a line after each scenario of a round to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	f := flag.NewFlagSet("noisy-neighbour", flag.ContinueOnError)
	f.SetOutput(progress)
	rounds := f.Int("rounds", 2, "how often each scenario runs on each system")
	window := f.Duration("window", 2*time.Second, "length of a measurement; at least ten statements of the flooder")
	only := f.String("only", "", "run the scenarios whose name contains this")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 || *window < victimEvery || f.NArg() > 0 {
		return fmt.Errorf("-rounds must be positive, -window at least %s, and there are no arguments", victimEvery)
	}
	var all []comparison
	for _, s := range scenarios() {
		if strings.Contains(s.name, *only) {
			all = append(all, comparison{scenario: s})
		}
	}
	if len(all) == 0 {
		return fmt.Errorf("-only %q: no scenario has that in its name", *only)
	}
	server, err := measure.StartServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	for round := range *rounds {
		for i := range all {
			c := &all[i]
			if err := c.runRound(ctx, server, round, *window); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			fmt.Fprintf(progress, "round %d of %d, %s: done\n", round+1, *rounds, c.name)
		}
	}
	fmt.Fprintf(out, "%d clients or tenants with a statement of 1 ms every %s; one other with %d goroutines; pool of %d\n",
		victims, victimEvery, floodSize, poolSize)
	fmt.Fprintf(out, "medians of %d rounds of %s and more, %d CPUs shared by client and server, %s\n%s\n\n",
		*rounds, *window, runtime.NumCPU(), time.Now().Format(time.DateOnly), server)
	return measure.WriteTable(out, table(all))
}

// runRound runs the scenario on both systems. The order of the systems changes with every round.
func (c *comparison) runRound(ctx context.Context, server *measure.Server, round int, window time.Duration) error {
	both := []struct {
		open func(context.Context, string, scenario) (*system, error)
		to   *[]outcome
	}{{openPlain, &c.plain}, {openShared, &c.shared}}
	for i := range both {
		b := both[(i+round)%2]
		sys, err := b.open(ctx, server.URL(), c.scenario)
		if err != nil {
			return err
		}
		out, err := c.observe(ctx, sys, window)
		if err := errors.Join(err, sys.close(context.WithoutCancel(ctx)), server.WaitForNoBackends(ctx)); err != nil {
			return err
		}
		*b.to = append(*b.to, out)
	}
	return nil
}

// table returns two rows for each scenario: plain and onepool.
func table(all []comparison) [][]string {
	rows := [][]string{{"times in ms", "wait p50", "wait p99", "wait max", "answer p99", "flooder /s", "of plain"}}
	for _, c := range all {
		for i, rounds := range [][]outcome{c.plain, c.shared} {
			row := []string{c.name + ": " + []string{"plain", "onepool"}[i]}
			for _, figure := range []func(outcome) float64{
				func(o outcome) float64 { return quantile(o.waits, 0.50) },
				func(o outcome) float64 { return quantile(o.waits, 0.99) },
				func(o outcome) float64 { return quantile(o.waits, 1) },
				func(o outcome) float64 { return quantile(o.answers, 0.99) },
				floods,
			} {
				row = append(row, measure.Number(measure.Median(each(rounds, figure))))
			}
			rows = append(rows, append(row, measure.Number(measure.PairedRatio(each(rounds, floods), each(c.plain, floods)))))
		}
	}
	return rows
}

// quantile returns a quantile in milliseconds, NaN if times is empty.
func quantile(times []time.Duration, q float64) float64 {
	if len(times) == 0 {
		return math.NaN()
	}
	return measure.Milliseconds(measure.Quantile(slices.Sorted(slices.Values(times)), q))
}

func floods(o outcome) float64 { return o.floods }

func each(rounds []outcome, figure func(outcome) float64) (values []float64) {
	for _, o := range rounds {
		values = append(values, figure(o))
	}
	return values
}
