// Package fallback holds the way to a server that testkit takes if a machine has no server
// binaries. Package testkit/container registers the way, so testkit imports no Docker client.
package fallback

import (
	"context"
	"sync/atomic"
)

// Start starts a server, or joins the server of another process of the same run, and
// returns the connection string of the server's superuser.
type Start func(context.Context) (url string, err error)

var registered atomic.Pointer[Start]

// Register makes start the way to a server. The last call wins.
func Register(start Start) { registered.Store(&start) }

// Registered returns the registered way, or nil.
func Registered() Start {
	if start := registered.Load(); start != nil {
		return *start
	}
	return nil
}
