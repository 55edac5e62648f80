package lifecycle

import "fmt"

// Status is the state of a pool.
type Status int

// The states. Healthy is a utilisation of at most 75 percent, Degraded at most 90 percent,
// Unhealthy above 90 percent. If more than 1 percent of the acquires waited half the acquire
// timeout, the pool is Degraded at best; nine tenths of the timeout, Unhealthy. At any
// figures, a pool that is not started, is draining or does not reach its server is Unhealthy.
const (
	Healthy Status = iota
	Degraded
	Unhealthy
)

const (
	degradedAbove  = 0.75
	unhealthyAbove = 0.90
)

// String returns "healthy", "degraded" or "unhealthy".
func (s Status) String() string {
	switch s {
	case Healthy:
		return "healthy"
	case Degraded:
		return "degraded"
	case Unhealthy:
		return "unhealthy"
	}
	return fmt.Sprintf("Status(%d)", int(s))
}

// MarshalText makes a Status a word in JSON and logs.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// utilisationStatus judges by connections in use alone. Both limits are strict:
// of 20 connections 15 are healthy, 18 degraded, 19 unhealthy.
func utilisationStatus(active float64, limit int) Status {
	if limit <= 0 {
		return Unhealthy
	}
	switch u := active / float64(limit); {
	case u > unhealthyAbove:
		return Unhealthy
	case u > degradedAbove:
		return Degraded
	}
	return Healthy
}
