//go:build !linux

package lifecycle

import (
	"net"
	"time"
)

// setUserTimeout does nothing: the option is Linux's. Keepalive is everywhere.
func setUserTimeout(*net.TCPConn, time.Duration) {}
