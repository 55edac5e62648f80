package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/agentagency/onepool/examples/internal/measure"
)

// comparison is the same work on both pools.
type comparison struct {
	name          string
	goroutines    int
	times         int // of the work, for each goroutine in a round
	documented    float64
	plain, tenant side
}

// side is the work on a pool, and the measured times.
type side struct {
	work    func(ctx context.Context, id int) error
	times   []time.Duration
	medians []float64 // of the rounds
}

// round measures both sides, one right after the other.
func (c *comparison) round(ctx context.Context, tenantFirst bool) error {
	sides := []*side{&c.plain, &c.tenant}
	if tenantFirst {
		slices.Reverse(sides)
	}
	for _, s := range sides {
		if err := s.measure(ctx, c.goroutines, c.times); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func (s *side) measure(ctx context.Context, goroutines, times int) error {
	took := make([]time.Duration, goroutines*times)
	g, ctx := errgroup.WithContext(ctx)
	for n := range goroutines {
		own := took[n*times : (n+1)*times]
		g.Go(func() error {
			for i := range own {
				began := time.Now()
				if err := s.work(ctx, 1+(n*times+i)%rows); err != nil {
					return err
				}
				own[i] = time.Since(began)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.Sort(took)
	s.times = append(s.times, took...)
	s.medians = append(s.medians, measure.Milliseconds(measure.Quantile(took, 0.5)))
	return nil
}

func (s *side) quantile(q float64) time.Duration {
	return measure.Quantile(slices.Sorted(slices.Values(s.times)), q)
}

// ratio is NaN before the first round.
func (c *comparison) ratio() float64 { return measure.PairedRatio(c.tenant.medians, c.plain.medians) }
