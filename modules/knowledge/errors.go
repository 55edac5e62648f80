package knowledge

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/modules"
)

// Errors of this client. Those that are not found are of the class
// modules.ErrNotFound too.
var (
	// ErrQueryNotFound is a modules.ErrNotFound.
	ErrQueryNotFound = fmt.Errorf("query %w", modules.ErrNotFound)
	// ErrProviderNotFound is a modules.ErrNotFound.
	ErrProviderNotFound = fmt.Errorf("provider %w", modules.ErrNotFound)
	// ErrEntryNotFound is a modules.ErrNotFound.
	ErrEntryNotFound = fmt.Errorf("entry %w", modules.ErrNotFound)
	// ErrTooManyCandidates says that an exact search would have to look at more
	// than MaxCandidates entries.
	ErrTooManyCandidates = fmt.Errorf("more than %d entries to search without pgvector: narrow the kinds, the sources or the confidence", MaxCandidates)
)

// wrap gives an error its class and the operation.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", name, operation, modules.Classify(err))
}

// wrapRow is wrap where one row is required: no row is missing.
func wrapRow(operation string, err, missing error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		err = missing
	}
	return wrap(operation, err)
}
