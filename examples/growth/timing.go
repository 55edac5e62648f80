package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/agentagency/onepool/examples/internal/measure"
	"github.com/agentagency/onepool/modules"
)

// warmUp is the number of calls before the timed calls: from the sixth execution of a prepared
// statement on, the server may take a generic plan.
const warmUp = 7

// timing is the result of a call at a size.
type timing struct {
	p50, p95 time.Duration
	bytes    int  // of the last answer as JSON
	timeout  bool // the server ended the call
}

// timed makes the calls, for about patience at most, and at least three.
func (c call) timed(ctx context.Context, times int, patience time.Duration) (timing, error) {
	warm := warmUp
	if c.times > 0 {
		times, warm = c.times, 0
	}
	var took []time.Duration
	var answer any
	began := time.Now()
	for i := range warm + times {
		if c.before != nil {
			if err := c.before(ctx, i); err != nil {
				return timing{}, fmt.Errorf("before %s: %w", c.name, err)
			}
		}
		start := time.Now()
		a, err := c.run(ctx, i)
		if errors.Is(err, modules.ErrTimeout) {
			return timing{timeout: true}, nil
		}
		if err != nil {
			return timing{}, fmt.Errorf("%s: %w", c.name, err)
		}
		answer = a
		if i >= warm {
			took = append(took, time.Since(start))
		}
		if len(took) >= 3 && time.Since(began) > patience {
			break
		}
	}
	raw, err := json.Marshal(answer)
	if err != nil {
		return timing{}, fmt.Errorf("%s: the answer: %w", c.name, err)
	}
	slices.Sort(took)
	return timing{p50: measure.Quantile(took, 0.5), p95: measure.Quantile(took, 0.95), bytes: len(raw)}, nil
}

// result holds the timings of a call by size, in the order of the sizes.
type result struct {
	name    string
	timings []timing
}

// table returns a row for each call: p50 and p95 in milliseconds for each size, the growth of
// p50 from the first size to the last, and the answer at the last size.
func table(client string, sizes []int, results []result) [][]string {
	head := []string{client + ", ms"}
	for _, n := range sizes {
		head = append(head, thousands(n)+" p50", "p95")
	}
	rows := [][]string{append(head, "growth", "answer, kB")}
	for _, r := range results {
		row := []string{r.name}
		for _, t := range r.timings {
			if t.timeout {
				row = append(row, "timeout", "")
				continue
			}
			row = append(row, measure.Number(measure.Milliseconds(t.p50)), measure.Number(measure.Milliseconds(t.p95)))
		}
		first, last := r.timings[0], r.timings[len(r.timings)-1]
		if first.timeout || last.timeout {
			row = append(row, "", "")
		} else {
			row = append(row, measure.Number(float64(last.p50)/float64(first.p50)), measure.Number(float64(last.bytes)/1000))
		}
		rows = append(rows, row)
	}
	return rows
}

// thousands writes 1000000 as 1,000,000.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
