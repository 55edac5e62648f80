package measure

import (
	"math"
	"slices"
	"time"
)

// Quantile returns the value that the share q, from 0 to 1, of the sorted values does not exceed.
// By the nearest rank, the value is always a measured value. Quantile returns 0 if sorted is empty.
func Quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Median returns the value in the middle, or the mean of the two middle values if the number of
// values is even. Median returns NaN if values is empty or holds a NaN.
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

// PairedRatio returns the median of ours[i] / old[i]. The same round measures both values back to
// back: foreign work of the machine counts for both. PairedRatio returns NaN if a value is missing.
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

// Milliseconds returns a duration as a number of milliseconds.
func Milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
