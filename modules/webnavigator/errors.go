package webnavigator

import (
	"fmt"

	"github.com/agentagency/onepool/modules"
)

// Errors of the client. Each error is also of a class of package modules.
var (
	// ErrTraversalNotFound is a modules.ErrNotFound.
	ErrTraversalNotFound = fmt.Errorf("traversal %w", modules.ErrNotFound)
	// ErrNodeNotFound is a modules.ErrNotFound.
	ErrNodeNotFound = fmt.Errorf("node %w", modules.ErrNotFound)
	// ErrContentNotFound is a modules.ErrNotFound.
	ErrContentNotFound = fmt.Errorf("content %w", modules.ErrNotFound)
	// ErrUnknownTraversal is a modules.ErrReference.
	ErrUnknownTraversal = fmt.Errorf("traversal: %w", modules.ErrReference)
	// ErrUnknownParent is a modules.ErrReference: the parent is no node of the traversal.
	ErrUnknownParent = fmt.Errorf("parent: %w", modules.ErrReference)
	// ErrUnknownContent is a modules.ErrReference.
	ErrUnknownContent = fmt.Errorf("content: %w", modules.ErrReference)
)

// wrap adds the class and the operation to an error.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %s: %w", name, operation, modules.Classify(err))
}
