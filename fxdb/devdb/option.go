package devdb

import "time"

// lingerShared is how long a shared server outlives its last user: long enough
// to bridge the gap between the test binaries of one "go test ./...".
const lingerShared = 5 * time.Second

// Option changes what [Start] does.
type Option func(*config)

type config struct {
	shared  bool
	linger  time.Duration // of a shared server
	sources []source      // of the server binaries, tried in order
	base    string        // run directory; empty means choose
	cache   string        // folder of the templates; empty means choose
}

// Shared asks for the one server per user that all processes share which ask
// for it at the same time. It is started by the first of them and kept for a
// few seconds after the last one has let go or ended. Without Shared the
// server is the caller's own.
func Shared() Option { return func(c *config) { c.shared = true } }

func newConfig(opts []Option) config {
	c := config{linger: lingerShared, sources: defaultSources()}
	for _, o := range opts {
		o(&c)
	}
	return c
}
