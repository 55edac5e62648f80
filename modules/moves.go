package modules

import "fmt"

// Moves are the statuses from which something may come into another, by that other one.
// Every way to a status goes by them.
type Moves[S ~string] map[S][]S

// To is the statuses from which one may come into s, as text.
func (m Moves[S]) To(s S) []string { return Texts(m[s]) }

// StatusError is an [ErrConflict]: something is in a status that does not allow this.
type StatusError struct{ What, Status string }

func (e *StatusError) Error() string {
	return fmt.Sprintf("%s is %s: its status does not allow this", e.What, e.Status)
}

// Is says that the error is of the class ErrConflict.
func (e *StatusError) Is(target error) bool { return target == ErrConflict }
