// A shared pool against a pool for each client: the same 15 database clients run the same work on
// the same throwaway server, in turns.
//
//	go run ./examples/onepool-vs-many                     # about two and a half minutes
//	go run ./examples/onepool-vs-many -own                # each client has statements of its own
//	go run ./examples/onepool-vs-many -sizes 4,8,20,40    # how large should the pool be?
//	go run ./examples/onepool-vs-many -rtt 1ms            # with a network in between
//	go run ./examples/onepool-vs-many -plain              # against a shared pool of plain pgxpool
//
// The old world is 15 pools of plain pgxpool with 10 connections each. The new world is a single
// pool of 20 connections with onepool's defaults. Of the operations 65 % read a row, 20 % read a
// range of 20 rows, and 15 % insert a row. Each kind of operation has 40 statements.
//
// Each run has two measurements. The first measurement begins right after the start of the clients:
// a pool still opens connections, and each connection still prepares and plans every statement. A
// deployment, an outage of the server, and the end of a connection's lifetime have the same effect.
// The second measurement begins when every connection has every statement ready.
//
// A ratio is the median of the rounds' ratios. In each round the two worlds run back to back, and
// the order changes from round to round. Client and server share the machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/agentagency/onepool/examples/internal/measure"
)

func main() { os.Exit(measure.Run(run)) }

// defaultSVG is the file that a run without any flag writes.
const defaultSVG = "examples/onepool-vs-many/result.svg"

// settings holds the values of the flags.
type settings struct {
	rounds     int
	window     time.Duration
	loads      []load
	sizes      []int
	rtt        time.Duration
	own, plain bool
	svg        string
}

func parse(args []string, progress io.Writer) (s settings, err error) {
	f := flag.NewFlagSet("onepool-vs-many", flag.ContinueOnError)
	f.SetOutput(progress)
	f.IntVar(&s.rounds, "rounds", 3, "how often each world runs")
	f.DurationVar(&s.window, "window", 2*time.Second, "length of a measurement")
	loads := f.String("goroutines", "64,128,256,64+1000", "loads to compare: goroutines at work, and after a plus sign a burst of others")
	sizes := f.String("sizes", "20", "connections of the one pool; several are compared under the first load only")
	f.DurationVar(&s.rtt, "rtt", 0, "round trip time of a network in between, such as 1ms")
	f.BoolVar(&s.own, "own", false, "each client runs a fifteenth of the statements, instead of all")
	f.BoolVar(&s.plain, "plain", false, "compare with a single pool of plain pgxpool, of the same size")
	f.StringVar(&s.svg, "svg", "", "file to draw the result in; "+defaultSVG+" for a run without any flag")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	if s.sizes, err = parseList(*sizes, strconv.Atoi); err != nil {
		return s, fmt.Errorf("-sizes %s: %w", *sizes, err)
	}
	if s.loads, err = parseList(*loads, parseLoad); err != nil {
		return s, fmt.Errorf("-goroutines %s: %w", *loads, err)
	}
	if len(s.sizes) > 1 {
		s.loads = s.loads[:1]
	}
	for _, size := range s.sizes {
		if size < 1 || size > 190 {
			return s, fmt.Errorf("-sizes: a pool of %d: must be 1 to 190, as the throwaway server takes 200 connections", size)
		}
	}
	if s.rounds < 1 || s.window <= 0 || s.rtt < 0 || f.NArg() > 0 {
		return s, errors.New("-rounds and -window must be positive, -rtt not negative, and there are no arguments")
	}
	if _, err := os.Stat(filepath.Dir(defaultSVG)); err == nil && f.NFlag() == 0 {
		s.svg = defaultSVG
	}
	return s, nil
}

func parseList[T any](list string, parse func(string) (T, error)) (out []T, err error) {
	for part := range strings.SplitSeq(list, ",") {
		v, err := parse(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// parseLoad reads "64" or "64+1000".
func parseLoad(s string) (l load, err error) {
	steady, burst, hasBurst := strings.Cut(s, "+")
	if l.steady, err = strconv.Atoi(steady); err == nil && hasBurst {
		l.burst, err = strconv.Atoi(burst)
	}
	if err == nil && (l.steady < 1 || l.burst < 0) {
		err = fmt.Errorf("%q is no number of goroutines", s)
	}
	return l, err
}

// run writes the tables to out, and a line after each comparison of a round to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	s, err := parse(args, progress)
	if err != nil {
		return err
	}
	server, err := measure.StartServer(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	if err := server.Setup(ctx, schemaSQL()); err != nil {
		return err
	}
	w := work{url: server.URL(), own: s.own, network: network(s.rtt)}
	var all []comparison
	for _, l := range s.loads {
		for _, size := range s.sizes {
			c := comparison{label: l.String(), load: l, old: w.plainPools(clients, connsEach), ours: w.onePool(size)}
			if s.plain {
				c.old = w.plainPools(1, size)
			}
			if len(s.sizes) > 1 {
				c.label = fmt.Sprintf("pool of %d", size)
			}
			all = append(all, c)
		}
	}
	for round := range s.rounds {
		for i := range all {
			c := &all[i]
			if err := c.runRound(ctx, server, round, s.window); err != nil {
				return err
			}
			fmt.Fprintf(progress, "round %d of %d, %s: done\n", round+1, s.rounds, c.label)
		}
	}
	r := report{all: all, title: fmt.Sprintf("%d clients, one pool against %s", clients, all[0].old.name)}
	r.note = fmt.Sprintf("by goroutines; medians of %d rounds of %s, %d CPUs shared by client and server, %s",
		s.rounds, s.window, runtime.NumCPU(), time.Now().Format(time.DateOnly))
	if len(s.sizes) > 1 {
		r.note = fmt.Sprintf("%s goroutines, %s", all[0].load, strings.TrimPrefix(r.note, "by goroutines; "))
	}
	if s.own {
		r.title += "; each has its own statements"
	}
	if s.rtt > 0 {
		r.title += fmt.Sprintf("; network of %s", s.rtt)
	}
	fmt.Fprintf(out, "%s\n%s\n%s\n", r.title, r.note, server)
	if err := r.writeTables(out); err != nil || s.svg == "" {
		return err
	}
	return r.draw(s.svg)
}
