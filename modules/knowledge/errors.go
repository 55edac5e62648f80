package knowledge

import (
	"fmt"

	"github.com/agentagency/onepool/modules"
)

// Errors of the client. Every error but ErrTooManyCandidates is also of a class of package
// modules.
var (
	// ErrQueryNotFound is a modules.ErrNotFound.
	ErrQueryNotFound = fmt.Errorf("query %w", modules.ErrNotFound)
	// ErrUnknownQuery is a modules.ErrReference.
	ErrUnknownQuery = fmt.Errorf("query: %w", modules.ErrReference)
	// ErrProviderNotFound is a modules.ErrNotFound.
	ErrProviderNotFound = fmt.Errorf("provider %w", modules.ErrNotFound)
	// ErrEntryNotFound is a modules.ErrNotFound.
	ErrEntryNotFound = fmt.Errorf("entry %w", modules.ErrNotFound)
	// ErrTooManyCandidates means that an exact search would have to compare more than
	// MaxCandidates entries.
	ErrTooManyCandidates = fmt.Errorf("more than %d entries to search without pgvector: narrow the kinds, the sources or the confidence", MaxCandidates)
)

// wrap adds the class and the operation to an error.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", name, operation, modules.Classify(err))
}
