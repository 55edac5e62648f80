//go:build !linux && !darwin

package devdb

import (
	"context"
	"runtime"
)

// Start always returns an [UnsupportedError] on this system: it lacks the
// fifos, file locks and unix credentials that keep servers from staying behind.
func Start(context.Context, ...Option) (*Server, error) {
	return nil, &UnsupportedError{OS: runtime.GOOS}
}
