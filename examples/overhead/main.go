// Overhead: statements with a tenant on onepool beside the same statements on plain pgxpool.
//
//	go run ./examples/overhead             # ten seconds at most, and the start of a server
//	go run ./examples/overhead -rounds 100 -budget 1m
//
// Both pools work on the same throwaway server, in turns. The plain pool names the tenant in the
// WHERE of each statement; onepool's tenant is in the context, and the table has policies. A ratio
// is the median of the ratios of the rounds' medians.
//
// The program fails if a ratio is more than twice the ratio that docs/benchmarks.md gives. The gate
// is wide enough for a busy machine. A transaction block around each statement fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/agentagency/onepool/examples/internal/measure"
)

func main() { os.Exit(measure.Run(run)) }

// gate is the factor between a documented ratio and a ratio that fails the program.
const gate = 2

func run(ctx context.Context, args []string, out, progress io.Writer) (err error) {
	f := flag.NewFlagSet("overhead", flag.ContinueOnError)
	f.SetOutput(progress)
	rounds := f.Int("rounds", 30, "rounds at most")
	budget := f.Duration("budget", 10*time.Second, "no round begins after this time, but five rounds run")
	if err := f.Parse(args); err != nil {
		return err
	}
	w, err := newWorld(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(context.WithoutCancel(ctx))) }()
	all := w.comparisons()
	for i := range all { // the first round opens connections and prepares statements
		warm := all[i]
		if err := warm.round(ctx, false); err != nil {
			return err
		}
	}
	for n, began := 0, time.Now(); n < *rounds && (n < 5 || time.Since(began) < *budget); n++ {
		for i := range all {
			if err := all[i].round(ctx, n%2 == 1); err != nil {
				return err
			}
		}
	}
	if err := measure.WriteTable(out, table(all)); err != nil {
		return err
	}
	return judge(all)
}

func table(all []comparison) [][]string {
	rows := [][]string{{"ms", "plain p50", "p95", "p99", "with a tenant p50", "p95", "p99", "ratio of p50", "gate"}}
	for _, c := range all {
		row := []string{c.name}
		for _, s := range []side{c.plain, c.tenant} {
			for _, q := range []float64{0.5, 0.95, 0.99} {
				row = append(row, measure.Number(measure.Milliseconds(s.quantile(q))))
			}
		}
		rows = append(rows, append(row, measure.Number(c.ratio()), measure.Number(gate*c.documented)))
	}
	return rows
}

// judge fails if a ratio is beyond the gate.
func judge(all []comparison) error {
	var errs []error
	for _, c := range all {
		if ratio := c.ratio(); !(ratio <= gate*c.documented) { // NaN fails too
			errs = append(errs, fmt.Errorf("%s takes %.2f times as long as on plain pgxpool: docs/benchmarks.md has %.2f, and the gate is %.2f",
				c.name, ratio, c.documented, gate*c.documented))
		}
	}
	return errors.Join(errs...)
}
