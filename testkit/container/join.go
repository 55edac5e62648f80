package container

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/containerd/errdefs"
	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/api/types/container"
	"github.com/testcontainers/testcontainers-go"

	"github.com/agentagency/onepool/internal/throwaway"
)

//go:embed supervisor.sh
var supervisor string

const (
	port = "5432/tcp"
	// linger bridges the gap between two test binaries of the same "go test".
	linger = 10 * time.Second
	// attempts bounds the tries of join: a container may end during a try.
	attempts   = 5
	readyEvery = 20 * time.Millisecond
	// data is in memory: the server makes and deletes thousands of small files.
	data = "/onepool"
)

// join attaches to the shared container of the run's test binaries, or starts the container. If
// the container ends meanwhile, join starts a new container.
func join(ctx context.Context, c config) (*Server, error) {
	var last error
	for range attempts {
		s, err := joinOnce(ctx, c)
		if err == nil {
			return s, nil
		}
		last = err
		if ctx.Err() != nil || !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second): // the engine removes a container of the same name
		}
	}
	return nil, last
}

func joinOnce(ctx context.Context, c config) (*Server, error) {
	name, password := identity(c)
	ctr, err := testcontainers.Run(ctx, c.image, testcontainers.WithReuseByName(name),
		testcontainers.WithLogger(silent{}),
		testcontainers.WithEnv(map[string]string{"POSTGRES_PASSWORD": password, "PGDATA": data + "/data"}),
		testcontainers.WithTmpfs(map[string]string{data: "rw,mode=1777"}),
		testcontainers.WithEntrypoint("sh", "-c", supervisor, strconv.Itoa(int(linger.Seconds()))),
		testcontainers.WithCmd(command()...),
		testcontainers.WithExposedPorts(port),
		testcontainers.WithHostConfigModifier(func(hc *container.HostConfig) { hc.AutoRemove = true }),
	)
	if err != nil {
		return nil, err
	}
	host, err := ctr.Host(ctx)
	if err != nil {
		return nil, err
	}
	mapped, err := ctr.MappedPort(ctx, port)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", password),
		Host: net.JoinHostPort(host, mapped.Port()), Path: "/postgres", RawQuery: "sslmode=disable"}
	s := &Server{url: u.String(), image: c.image, name: name}
	s.conn, err = connect(ctx, ctr, s.url)
	return s, err
}

// identity returns the name of the container for the run and the image, and the superuser's
// password. All test binaries of the same "go test" have the same session.
func identity(c config) (name, password string) {
	digest := func(what string) string {
		sum := sha256.Sum256([]byte(what + "\x00" + testcontainers.SessionID() + "\x00" + c.image + "\x00" + supervisor))
		return hex.EncodeToString(sum[:])
	}
	return "onepool-test-" + digest("name")[:16], digest("password")
}

// command returns the server's command line.
func command() []string {
	args := []string{"postgres"}
	for _, s := range append([]string{throwaway.Mark + "=on"}, throwaway.Settings...) {
		args = append(args, "-c", s)
	}
	return args
}

// connect waits until the server accepts connections over TCP. While an image initialises the
// data, the image's server listens on a unix socket alone.
func connect(ctx context.Context, ctr *testcontainers.DockerContainer, url string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = "onepool container"
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		conn, refused := pgx.ConnectConfig(ctx, config)
		if refused == nil {
			return conn, nil
		}
		state, err := ctr.State(ctx)
		if err != nil {
			return nil, fmt.Errorf("the container has ended: %w", err)
		}
		if !state.Running {
			return nil, fmt.Errorf("the container has ended with code %d; its log says:\n%s", state.ExitCode, logTail(ctx, ctr))
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no connection: %w; its log says:\n%s", refused, logTail(context.WithoutCancel(ctx), ctr))
		case <-tick.C:
		}
	}
}

func logTail(ctx context.Context, ctr *testcontainers.DockerContainer) string {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	log, err := ctr.Logs(ctx)
	if err != nil {
		return err.Error()
	}
	defer log.Close() //nolint:errcheck // only read from
	text, _ := io.ReadAll(io.LimitReader(log, 1<<20))
	return string(text[max(0, len(text)-4096):])
}

// silent keeps the progress reports of testcontainers off standard error.
type silent struct{}

// Printf drops the line.
func (silent) Printf(string, ...any) {}
