package modules

import "fmt"

// Moves are the statuses from which a row may come into a status, by the new status. Every
// change of a status goes by Moves.
type Moves[S ~string] map[S][]S

// To returns the statuses from which a row may come into s, as text.
func (m Moves[S]) To(s S) []string { return Texts(m[s]) }

// StatusError is an [ErrConflict]: the status of What does not allow the call.
type StatusError struct{ What, Status string }

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s is %s: its status does not allow this", e.What, e.Status)
}

// Is reports whether target is [ErrConflict].
func (e *StatusError) Is(target error) bool { return target == ErrConflict }
