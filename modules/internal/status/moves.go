// Package status describes the moves of a row between statuses.
package status

import "github.com/agentagency/onepool/modules/internal/sqlarg"

// Moves are the statuses from which a row may come into a status, by the new status. Every
// change of a status goes by Moves.
type Moves[S ~string] map[S][]S

// To returns the statuses from which a row may come into s, as text.
func (m Moves[S]) To(s S) []string { return sqlarg.Texts(m[s]) }
