package modules

import "fmt"

// FieldError is an [ErrInvalid] that names a field and the condition for the field, for example
// "must not be blank".
type FieldError struct{ Field, Must string }

func (e *FieldError) Error() string { return ErrInvalid.Error() + ": " + e.Field + " " + e.Must }

// Is reports whether target is [ErrInvalid].
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

// StatusError is an [ErrConflict]: the status of What does not allow the call.
type StatusError struct {
	What, Status string
	Do           string // what the caller can do; empty: nothing
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s is %s: its status does not allow this", e.What, e.Status)
	if e.Do != "" {
		text += ": " + e.Do
	}
	return text
}

// Is reports whether target is [ErrConflict].
func (e *StatusError) Is(target error) bool { return target == ErrConflict }
