package measure

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAQuantileIsAMeasuredValue(t *testing.T) {
	t.Parallel()
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		values []time.Duration
		q      float64
		want   time.Duration
	}{
		{nil, 0.5, 0},
		{[]time.Duration{7}, 0, 7},
		{[]time.Duration{7}, 0.99, 7},
		{[]time.Duration{1, 2}, 0.5, 1},
		{[]time.Duration{1, 2, 3}, 0.5, 2},
		{hundred, 0, 1},
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
	} {
		require.Equal(t, c.want, Quantile(c.values, c.q), "%v of %v", c.q, c.values)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{5, 1, 3}, 3},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		require.InDelta(t, c.want, Median(c.values), 1e-9, "%v", c.values)
	}
	require.True(t, math.IsNaN(Median(nil)))
	require.True(t, math.IsNaN(Median([]float64{1, math.NaN()})), "a value that is missing must not vanish")
	values := []float64{3, 1, 2}
	Median(values)
	require.Equal(t, []float64{3, 1, 2}, values, "the rounds' order is kept")
}

func TestARatioIsTakenWithinTheRound(t *testing.T) {
	t.Parallel()
	// The machine was half as fast in the second round: the ratio does not change.
	require.InDelta(t, 2, PairedRatio([]float64{200, 100, 202}, []float64{100, 50, 101}), 1e-9)
	require.True(t, math.IsNaN(PairedRatio([]float64{1}, []float64{1, 2})))
	require.True(t, math.IsNaN(PairedRatio([]float64{math.NaN()}, []float64{1})))
}
