// Growth: how the cost of every public method of the agency's clients grows with the rows of a
// tenant. The program starts a throwaway server, fills the tables with 1,000, 100,000 and
// 1,000,000 rows, of which a tenant of fifty has half, and times each method as that tenant.
//
//	go run ./examples/growth                          # minutes, and several GB of memory
//	go run ./examples/growth -clients orchestrator -sizes 1000,100000
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agentagency/onepool/examples/internal/measure"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/tenant"
)

func main() { os.Exit(measure.Run(run)) }

// leastSize is the smallest size: the large tenant has rows in every state.
const leastSize = 100

type settings struct {
	sizes    []int
	clients  []string
	calls    int
	patience time.Duration
	only     string
	loads    bool
	snapshot time.Duration
}

func parse(args []string, progress io.Writer) (settings, error) {
	f := flag.NewFlagSet("growth", flag.ContinueOnError)
	f.SetOutput(progress)
	s := settings{}
	names := slices.Sorted(maps.Keys(subjects()))
	sizes := f.String("sizes", "1000,100000,1000000", "rows of the main tables, ascending, each at least 100")
	clients := f.String("clients", strings.Join(names, ","), "clients")
	f.IntVar(&s.calls, "calls", 60, "timed calls of a method")
	f.DurationVar(&s.patience, "patience", 3*time.Second, "end of the calls of a slow method, after three calls at least")
	f.StringVar(&s.only, "only", "", "time only the methods whose name contains the text")
	f.BoolVar(&s.loads, "loads", false, "measure the rates under load too, at the last size")
	f.DurationVar(&s.snapshot, "snapshot", time.Minute, "length of the claims beside a long snapshot, before -loads measures the claims' rate")
	if err := f.Parse(args); err != nil {
		return s, err
	}
	for _, text := range strings.Split(*sizes, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < leastSize || len(s.sizes) > 0 && n <= s.sizes[len(s.sizes)-1] {
			return s, fmt.Errorf("-sizes %q: the sizes must ascend from %d", *sizes, leastSize)
		}
		s.sizes = append(s.sizes, n)
	}
	for _, name := range strings.Split(*clients, ",") {
		if !slices.Contains(names, name) {
			return s, fmt.Errorf("-clients %q: the clients are %s", *clients, strings.Join(names, ", "))
		}
		s.clients = append(s.clients, name)
	}
	if s.calls < 1 || s.snapshot <= 0 || f.NArg() > 0 {
		return s, errors.New("-calls and -snapshot must be positive, and arguments are not allowed")
	}
	return s, nil
}

// run writes the tables to out, and the progress to progress.
func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	s, err := parse(args, progress)
	if err != nil {
		return err
	}
	server, err := devdb.Start(ctx, devdb.Settings(serverSettings...))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx))) }()
	fmt.Fprintf(out, "%d tenants, of which the measured tenant has half of the rows; times in ms; %d CPUs shared by client and server, %s\n%s\n",
		smallTenants+1, runtime.NumCPU(), time.Now().Format(time.DateOnly), server)
	for _, client := range s.clients {
		results, rates, err := s.measure(ctx, server, client, progress)
		if err != nil {
			return fmt.Errorf("%s: %w", client, err)
		}
		_, _ = fmt.Fprintln(out)
		if err := measure.WriteTable(out, table(client, s.sizes, results)); err != nil {
			return err
		}
		if len(rates) > 1 {
			_, _ = fmt.Fprintln(out)
			if err := measure.WriteTable(out, rates); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure times the calls of a client at every size, each size in a database of its own.
func (s settings) measure(ctx context.Context, server *devdb.Server, client string, progress io.Writer) (results []result, rates [][]string, err error) {
	rates = [][]string{{"load at " + thousands(s.sizes[len(s.sizes)-1]) + " rows", "per second"}}
	for i, n := range s.sizes {
		subject := subjects()[client]()
		began := time.Now()
		w, err := newWorld(ctx, server, subject, fmt.Sprint(client, n), n)
		if err != nil {
			return nil, nil, err
		}
		fmt.Fprintf(progress, "%s: %s rows filled in %s\n", client, thousands(n), time.Since(began).Round(time.Millisecond))
		err = func() error {
			ctx := tenant.NewContext(ctx, tenant.Identity{Tenant: largeTenant})
			calls := slices.DeleteFunc(subject.calls(n), func(c call) bool { return !strings.Contains(c.name, s.only) })
			for j, c := range calls {
				t, err := c.timed(ctx, s.calls, s.patience)
				if err != nil {
					return err
				}
				fmt.Fprintf(progress, "%s: %s: %s: p50 %s, p95 %s\n", client, thousands(n), c.name, t.p50.Round(time.Microsecond), t.p95.Round(time.Microsecond))
				if i == 0 {
					results = append(results, result{name: c.name})
				}
				results[j].timings = append(results[j].timings, t)
			}
			if !s.loads || i < len(s.sizes)-1 {
				return nil
			}
			for _, l := range subject.loads(w, n, s.snapshot) {
				rate, err := l.run(ctx)
				if err != nil {
					return fmt.Errorf("%s: %w", l.name, err)
				}
				fmt.Fprintf(progress, "%s: %s: %.0f a second\n", client, l.name, rate)
				rates = append(rates, []string{l.name, measure.Number(rate)})
			}
			return nil
		}()
		if err := errors.Join(err, w.close(context.WithoutCancel(ctx))); err != nil {
			return nil, nil, err
		}
	}
	return results, rates, nil
}
