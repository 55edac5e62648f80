package verification

import (
	"fmt"

	"github.com/agentagency/onepool/modules"
)

// Errors of the client. Each error is also of a class of package modules.
var (
	// ErrRequestNotFound is a modules.ErrNotFound.
	ErrRequestNotFound = fmt.Errorf("request %w", modules.ErrNotFound)
	// ErrResultNotFound is a modules.ErrNotFound.
	ErrResultNotFound = fmt.Errorf("result %w", modules.ErrNotFound)
	// ErrUnknownResult is a modules.ErrReference.
	ErrUnknownResult = fmt.Errorf("result: %w", modules.ErrReference)
	// ErrStatus is a modules.ErrConflict: the request's status does not allow the call.
	ErrStatus error = statusError{}
)

type statusError struct{}

func (statusError) Error() string        { return "its status does not allow this" }
func (statusError) Is(target error) bool { return target == modules.ErrConflict }

// inStatus is an ErrStatus with the status in the text.
func inStatus(s Status) error { return fmt.Errorf("request is %s: %w", s, ErrStatus) }

// wrap adds the class and the operation to an error.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", name, operation, modules.Classify(err))
}
