// Package throwaway holds what servers for tests have in common, whether devdb starts the
// server from local binaries or testkit/container from an image.
package throwaway

// MaxConnections is the most connections that a throwaway server takes: enough for twenty
// test binaries that run eight tests in parallel, each test with a pool of its own.
const MaxConnections = "1000"

// Mark is the setting that shows testkit that the server and its databases end with the tests.
const Mark = "onepool.throwaway"

// Settings are settings of the server that trade safety against power failure for speed.
// Dynamic shared memory lies in files of the data folder, so no file outlives the server.
var Settings = []string{
	"fsync=off", "synchronous_commit=off", "full_page_writes=off",
	"wal_level=minimal", "max_wal_senders=0",
	"shared_buffers=128MB", "max_connections=" + MaxConnections,
	"dynamic_shared_memory_type=mmap", "autovacuum=off", "jit=off",
}
