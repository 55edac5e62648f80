package measure

import (
	"math"
	"slices"
	"time"
)

// Quantile returns the value that the share q, from 0 to 1, of the sorted values
// does not exceed: the nearest rank, so always one that was measured. Of nothing
// it is 0.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median returns the value in the middle, the mean of the two there if the
// number is even. It is NaN for none, and where one of them is.
func Median(values []float64) float64 {
	if len(values) == 0 || slices.ContainsFunc(values, math.IsNaN) {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(values))
	mid := len(s) / 2
	if len(s)%2 == 1 {
		return s[mid]
	}
	return (s[mid-1] + s[mid]) / 2
}

// PairedRatio returns the median of ours[i] / old[i]. Both were measured in the
// same round, one right after the other, so what else the machine did then
// counts for both. It is NaN where a value is missing.
func PairedRatio(ours, old []float64) float64 {
	if len(ours) != len(old) {
		return math.NaN()
	}
	ratios := make([]float64, len(ours))
	for i := range ours {
		ratios[i] = ours[i] / old[i]
	}
	return Median(ratios)
}

// Milliseconds is a duration as a number.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
