package orchestrator

import "github.com/agentagency/onepool/modules/internal/check"

// listLimit is how many tasks, assignments or executions a list has at most.
const listLimit = 1000

// checkLimit turns 0 into listLimit.
func checkLimit(limit *int) error {
	if *limit == 0 {
		*limit = listLimit
	}
	return check.That("limit", "must be from 1 to 1000, and 0 for that", *limit >= 1 && *limit <= listLimit)
}
