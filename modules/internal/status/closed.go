package status

import (
	"maps"
	"slices"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/sqlarg"
)

// Closed are the statuses of a row that takes no more rows below the row, with the caller's way
// on. Every call that adds to the row goes by Closed.
type Closed[S ~string] map[S]string

// Statuses returns the statuses as text.
func (c Closed[S]) Statuses() []string { return sqlarg.Texts(slices.Sorted(maps.Keys(c))) }

// Check returns a [*modules.StatusError] about what if the row is in a status of c.
func (c Closed[S]) Check(what string, s S) error {
	if do, closed := c[s]; closed {
		return &modules.StatusError{What: what, Status: string(s), Do: do}
	}
	return nil
}
