package agentregistry

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// Errors of the client. Each error is also of a class of package modules.
var (
	// ErrAgentNotFound is a modules.ErrNotFound.
	ErrAgentNotFound = fmt.Errorf("agent %w", modules.ErrNotFound)
	// ErrAgentExists is a modules.ErrConflict: the tenant has an agent with the same id
	// (constraint agents_pkey) or name (agents_name_key).
	ErrAgentExists = fmt.Errorf("agent %w", modules.ErrConflict)
)

// wrap adds the class and the operation to an error. If a statement requires a row, no row is a
// missing agent.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	err = modules.Classify(err)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = ErrAgentNotFound
	case errors.Is(err, modules.ErrConflict):
		err = existsError{err}
	}
	return fmt.Errorf("%s: %s: %w", name, operation, err)
}

// existsError is a conflict that is an ErrAgentExists; the text names the constraint.
type existsError struct{ error }

func (e existsError) Error() string        { return "agent " + e.error.Error() }
func (e existsError) Is(target error) bool { return target == ErrAgentExists }
func (e existsError) Unwrap() error        { return e.error }
