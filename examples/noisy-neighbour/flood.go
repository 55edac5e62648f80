package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agentagency/onepool/examples/internal/measure"
)

// scenario is a flood and the neighbours that meet the flood.
type scenario struct {
	name   string
	sql    string        // the flooder's statement
	length time.Duration // approximate time of the flooder's statement
	pool   int
	flood  int  // goroutines of the flooder
	alone  bool // the victims do nothing
	joined bool // the victims all ask at the same moments

	tenants           bool    // the neighbours are tenants of one client, not clients
	maxConns          int     // of the flooder; 0: no limit
	tenantMaxFraction float64 // part of the pool that one tenant may hold; 0: no limit
}

// Each victim runs a short statement at a fixed rate, and does not wait for the previous answer.
// The statement takes up to about 2 ms.
const (
	victimSQL   = "select pg_sleep(0.001)"
	victimEvery = 10 * time.Millisecond
)

// outcome is the result of a run.
type outcome struct {
	waits, answers []time.Duration // of the victims
	floods         float64         // statements of the flooder per second
}

// observe runs the flooder against the victims for the window. The flood goes on until the victims
// have all answers to the statements of the window.
func (s scenario) observe(ctx context.Context, sys *system, window time.Duration) (out outcome, err error) {
	var stop atomic.Bool
	var floods atomic.Int64
	flood, fctx := errgroup.WithContext(ctx)
	for range s.flood {
		flood.Go(func() error {
			for !stop.Load() {
				if _, err := sys.neighbours[flooder].ask(fctx, s.sql); err != nil {
					return err
				}
				floods.Add(1)
			}
			return nil
		})
	}
	// The flood opens all connections and fills the queue before the measurement.
	measure.Wait(fctx, max(2*s.length, 500*time.Millisecond))

	window = max(window, 10*s.length)
	before, began := floods.Load(), time.Now()
	var met errgroup.Group
	var lives [neighbours][]answer
	for i := flooder + 1; i < neighbours && !s.alone; i++ {
		first := began
		if !s.joined {
			first = first.Add(rand.N(victimEvery))
		}
		met.Go(func() (err error) {
			lives[i], err = sys.neighbours[i].live(fctx, first, window)
			return err
		})
	}
	measure.Wait(fctx, window)
	out.floods = float64(floods.Load()-before) / time.Since(began).Seconds()
	err = met.Wait()
	stop.Store(true)
	if floodErr := flood.Wait(); floodErr != nil {
		err = floodErr // the victims' error is a consequence
	}
	for _, life := range lives {
		for _, a := range life {
			out.waits, out.answers = append(out.waits, a.waited), append(out.answers, a.took)
		}
	}
	return out, errors.Join(err, ctx.Err())
}

// live runs the victim's statements at the fixed rate, and returns after the last answer.
func (n neighbour) live(ctx context.Context, first time.Time, window time.Duration) ([]answer, error) {
	answers := make([]answer, int(window/victimEvery))
	group, ctx := errgroup.WithContext(ctx)
	for i := range answers {
		measure.Wait(ctx, time.Until(first.Add(time.Duration(i)*victimEvery)))
		group.Go(func() (err error) {
			answers[i], err = n.ask(ctx, victimSQL)
			return err
		})
	}
	return answers, group.Wait()
}
