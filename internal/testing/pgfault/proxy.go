package pgfault

import (
	"testing"

	"github.com/agentagency/onepool/internal/testing/faultproxy"
)

// Proxy opens a port in front of the server, until the test ends.
func (s *Server) Proxy(t testing.TB) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.New(t, s.URL())
	must(t, err)
	return p
}
