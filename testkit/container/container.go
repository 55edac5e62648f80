package container

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/testkit"
	"github.com/agentagency/onepool/testkit/internal/fallback"
)

// startTimeout covers the download of the image.
const startTimeout = 10 * time.Minute

// Server is a PostgreSQL server in a container, made by [Start].
type Server struct {
	url, image, name string
	// conn keeps the container alive until the process ends.
	conn *pgx.Conn
}

// URL returns the connection string of the server's superuser, for [testkit.Server].
func (s *Server) URL() string { return s.url }

// String names the container and its image.
func (s *Server) String() string { return fmt.Sprintf("container %s of %s", s.name, s.image) }

// Start returns the server in a container of the image. The first test binary of a "go test" starts
// the container. Start fails the test if no Docker engine answers, or the engine can't get the
// image. The server stays until the test binary ends.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := shared(newConfig(opts))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s
}

// Swap is [testkit.Swap] on a database in the container of the default image, for the root of
// an fx application:
//
//	app := fxtest.New(t, production.Module, container.Swap(t))
func Swap(t testing.TB, opts ...testkit.Option) fx.Option {
	t.Helper()
	return testkit.Swap(t, append([]testkit.Option{testkit.Server(Start(t).URL())}, opts...)...)
}

// servers holds the servers of the process, by configuration.
var servers sync.Map // config -> func() (*Server, error)

func shared(c config) (*Server, error) {
	once, _ := servers.LoadOrStore(c, sync.OnceValues(func() (*Server, error) {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		s, err := join(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("container: start %s: %w; see that \"docker info\" answers and \"docker pull %[1]s\" works, or set TEST_DATABASE_URL to a server that runs", c.image, err)
		}
		return s, nil
	}))
	return once.(func() (*Server, error))()
}

func init() {
	fallback.Register(func(context.Context) (string, error) {
		s, err := shared(newConfig(nil))
		if err != nil {
			return "", err
		}
		return s.url, nil
	})
}
