// Package container gives testkit a PostgreSQL server from a container image, through
// testcontainers-go. The package is a module of its own, so only the tests that import it
// pay for the Docker client.
//
// An import alone is enough: testkit takes a container of [DefaultImage] if
// TEST_DATABASE_URL is not set and the machine has no server binaries:
//
//	import _ "github.com/agentagency/onepool/testkit/container"
//
// A test that wants a container, or another image, asks for one:
//
//	server := container.Start(t, container.Image("postgres:17-alpine"))
//	db := testkit.DB(t, testkit.Server(server.URL()))
//
// and an fx application has [Swap] at its root.
//
// All test binaries of one "go test" share the container of an image. The container counts
// its connections, and ends ten seconds after the last one, with its data: no process has
// to remove the container, and a killed test binary leaves none behind.
//
// testcontainers-go finds the engine as usual (DOCKER_HOST, the current Docker context),
// and reads its own settings, such as TESTCONTAINERS_RYUK_DISABLED.
package container
