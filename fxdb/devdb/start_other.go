//go:build !linux && !darwin

package devdb

import (
	"context"
	"runtime"
)

// Start always returns an [UnsupportedError] on the system: the system lacks fifos, file locks
// and unix credentials, and without them servers would stay behind.
func Start(context.Context, ...Option) (*Server, error) {
	return nil, &UnsupportedError{OS: runtime.GOOS}
}
