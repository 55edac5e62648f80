// The agency server under load: crowds of HTTP clients without a pause between requests, and a
// database server that crashes half-way.
//
//	go run ./examples/load    # about two and a half minutes
//
// The program builds ./app, and runs the application as a separate process on a throwaway
// PostgreSQL server. In the middle of each crowd's time the program restarts the server in
// immediate mode, like a crash. The program exits with 1 if:
//
//   - a request fails that did not meet the restart,
//   - the application has more connections than the limit of the application's pool,
//   - the application's memory grows,
//   - the application does not stop cleanly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/agentagency/onepool/examples/internal/measure"
)

func main() { os.Exit(measure.Run(run)) }

// settings holds the values of the flags.
type settings struct {
	duration time.Duration
	clients  []int
	requests int64
	pool     int
}

func parse(args []string, progress io.Writer) (s settings, err error) {
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.SetOutput(progress)
	f.DurationVar(&s.duration, "duration", time.Minute, "how long each crowd asks")
	f.Int64Var(&s.requests, "requests", 1_000_000, "how often each crowd asks at most")
	f.IntVar(&s.pool, "pool", 20, "connections of the application's pool (DB_POOL_MAX)")
	clients := f.String("clients", "100,1000", "sizes of the crowds, one after the other")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	for part := range strings.SplitSeq(*clients, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 {
			return s, fmt.Errorf("-clients %s: %q is no number of clients", *clients, part)
		}
		s.clients = append(s.clients, n)
	}
	if s.duration <= 0 || s.requests < 2 || s.pool < 1 || s.pool > 190 || f.NArg() > 0 {
		return s, errors.New("-duration must be positive, -requests at least 2, -pool 1 to 190, and there are no arguments")
	}
	return s, nil
}

// outcome is the result of a whole run.
type outcome struct {
	phases        []phase
	before, after float64 // memory in MiB without a client at work
	stop          time.Duration
	left          float64 // connections after the stop
}

// run writes the table to out, and a line at the start of each phase to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	s, err := parse(args, progress)
	if err != nil {
		return err
	}
	o, err := observe(ctx, s, progress)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "agency server, pool of %d, each crowd for %s at most; clients, application and server share %d CPUs; %s\n\n",
		s.pool, s.duration, runtime.NumCPU(), time.Now().Format(time.DateOnly))
	if err := measure.WriteTable(out, o.table()); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nmemory without clients %s → %s MiB; the stop took %s and left %s connections\n",
		measure.Number(o.before), measure.Number(o.after), o.stop.Round(time.Millisecond), measure.Number(o.left))
	var problems []string
	for _, p := range o.phases {
		problems = append(problems, p.problems(s.pool)...)
	}
	if o.left != 0 {
		problems = append(problems, measure.Number(o.left)+" connections are left after the stop")
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "\n"))
	}
	return nil
}

func observe(ctx context.Context, s settings, progress io.Writer) (o outcome, err error) {
	dir, err := os.MkdirTemp("", "onepool-load-")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := startServer(ctx)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, server.stop(context.WithoutCancel(ctx))) }()
	a, err := startApplication(ctx, dir, server, s.pool)
	if err != nil {
		return o, err
	}
	o.before = a.memory()
	for _, clients := range s.clients {
		fmt.Fprintf(progress, "%d clients for %s\n", clients, s.duration)
		p, err := runPhase(ctx, server, a, clients, s.duration, s.requests)
		if err != nil {
			_, stopErr := a.stop()
			return o, errors.Join(err, stopErr)
		}
		o.phases = append(o.phases, p)
	}
	o.after = a.memory()
	if o.stop, err = a.stop(); err != nil {
		return o, err
	}
	for range 100 { // the server closes the last connection a moment after the stop
		if o.left = server.connections(ctx); o.left == 0 {
			break
		}
		measure.Wait(ctx, 50*time.Millisecond)
	}
	return o, nil
}

// table returns rows with a column for each phase.
func (o outcome) table() [][]string {
	rows := [][]string{{""}}
	for _, p := range o.phases {
		rows[0] = append(rows[0], fmt.Sprintf("%d clients", p.clients))
	}
	add := func(title string, cell func(phase) string) {
		row := []string{title}
		for _, p := range o.phases {
			row = append(row, cell(p))
		}
		rows = append(rows, row)
	}
	ms := func(d time.Duration) string { return measure.Number(measure.Milliseconds(d)) }
	add("requests answered", func(p phase) string { return strconv.Itoa(p.answered) })
	add("answers per second", func(p phase) string { return measure.Number(float64(p.answered) / p.took.Seconds()) })
	add("p50, ms", func(p phase) string { return ms(measure.Quantile(p.latencies, 0.50)) })
	add("p99, ms", func(p phase) string { return ms(measure.Quantile(p.latencies, 0.99)) })
	add("server away, ms", func(p phase) string { return ms(p.outage.back.Sub(p.outage.down)) })
	add("failed around the restart", func(p phase) string { return tally(p.excused) })
	add("failed otherwise", func(p phase) string { return tally(p.failed) })
	add("connections at most", func(p phase) string { return measure.Number(p.connections) })
	add("memory, MiB", func(p phase) string { return measure.Number(p.early) + " → " + measure.Number(p.late) })
	return rows
}
