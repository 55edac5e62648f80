// Package container gives testkit a PostgreSQL server from a container image, through
// testcontainers-go. The package is a separate module: only tests with an import of the
// package pay for the Docker client.
//
// An import alone is enough: testkit takes a container of [DefaultImage] if
// TEST_DATABASE_URL is not set and the machine has no server binaries:
//
//	import _ "github.com/agentagency/onepool/testkit/container"
//
// A test can ask for a container, or for a different image:
//
//	server := container.Start(t, container.Image("postgres:17-alpine"))
//	db := testkit.DB(t, testkit.Server(server.URL()))
//
// An fx application takes [Swap] at the root.
//
// All test binaries of the same "go test" share the container of an image. The container counts
// connections, and ends, with the data, ten seconds after the last connection. No process has to
// remove the container, and a killed test binary leaves no container behind.
//
// testcontainers-go finds the engine as usual (DOCKER_HOST, the current Docker context), and reads
// the usual settings, for example TESTCONTAINERS_RYUK_DISABLED.
package container
