package orchestrator

import (
	"time"

	"github.com/agentagency/onepool/modules"
)

// listLimit is how many tasks, assignments or executions a list has at most.
const listLimit = 1000

// checkLimit turns 0 into listLimit.
func checkLimit(limit *int) error {
	if *limit == 0 {
		*limit = listLimit
	}
	return modules.Check("limit", "must be from 1 to 1000, and 0 for that", *limit >= 1 && *limit <= listLimit)
}

// checkTimeout is for what the server keeps in milliseconds.
func checkTimeout(field string, d time.Duration) error {
	return modules.Check(field, "must be at least 1ms, and 0 for the default", d == 0 || d >= time.Millisecond)
}
