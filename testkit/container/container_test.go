package container_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
	"github.com/agentagency/onepool/testkit/container"
	"github.com/agentagency/onepool/testkit/internal/fallback"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("CONTAINER_TEST_SAY"); name != "" {
		say()
		return
	}
	goleak.VerifyTestMain(m)
}

// say uses the container until the end of standard input.
func say() {
	url, err := fallback.Registered()(context.Background())
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println(url)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// engine skips the test on a machine without a Docker engine. .ci/container starts an engine, and
// sets ONEPOOL_TEST_DOCKER.
func engine(t *testing.T) client.APIClient {
	t.Helper()
	provider, err := testcontainers.NewDockerProvider()
	if err == nil {
		err = provider.Health(t.Context())
	}
	if err != nil && os.Getenv("ONEPOOL_TEST_DOCKER") == "" {
		t.Skipf("no Docker engine answers: %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { _ = provider.Close() })
	return provider.Client()
}

var notes = fstest.MapFS{"00001_notes.sql": {Data: []byte(`-- +goose Up
create schema notes;
create table notes.notes (
	tenant_id text not null default nullif(current_setting('app.current_tenant', true), ''),
	body text not null
);
alter table notes.notes enable row level security;
alter table notes.notes force row level security;
create policy tenant_isolation on notes.notes
	using (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''))
	with check (tenant_id = nullif((select current_setting('app.current_tenant', true)), ''));
-- +goose Down
drop schema notes cascade;
`)}}

func as(t *testing.T, name string) context.Context {
	return tenant.NewContext(t.Context(), tenant.Identity{Tenant: name})
}

func TestTheKitWorksOnAContainer(t *testing.T) {
	engine(t)
	server := container.Start(t)
	t.Log(server)
	for i := range 8 {
		t.Run(fmt.Sprint("in parallel ", i), func(t *testing.T) {
			t.Parallel()
			db := testkit.DB(t, testkit.Server(server.URL()), testkit.Migrations("notes", notes), testkit.Extension("pageinspect"))
			var super, bypass, owner bool
			require.NoError(t, db.QueryRow(t.Context(), `
				select rolsuper, rolbypassrls, exists (select from pg_class where relowner = r.oid)
				from pg_roles r where rolname = current_user`).Scan(&super, &bypass, &owner))
			require.False(t, super || bypass || owner)
			for _, name := range []string{"acme", "globex"} {
				_, err := db.Exec(as(t, name), "insert into notes.notes (body) values ($1)", name)
				require.NoError(t, err)
			}
			require.Equal(t, []string{"notes.notes"}, testkit.RequireIsolation(t, db))
			_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "create table more (id int)")
			require.NoError(t, err)
			var n int
			require.NoError(t, db.QueryRow(as(t, "acme"), "select count(*) from notes.notes").Scan(&n))
			require.Equal(t, 1, n)
		})
	}
}

func TestSwapPutsAContainerUnderAnApplication(t *testing.T) {
	engine(t)
	t.Setenv("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere")
	var db *fxdb.DB
	app := fxtest.New(t, fxdb.Module, fxdb.Migrations("notes", notes), container.Swap(t), fx.Populate(&db))
	app.RequireStart()
	defer app.RequireStop()
	_, err := db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('x')")
	require.NoError(t, err)
	var fsync string
	require.NoError(t, db.QueryRow(t.Context(), "show fsync").Scan(&fsync))
	require.Equal(t, "off", fsync)
}

// process starts the test binary again, as a second test binary of the given session. url waits
// for the server.
func process(t *testing.T, session string) (url func() string, end func(kill bool)) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "CONTAINER_TEST_SAY=1", "TESTCONTAINERS_SESSION_ID="+session)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	url = func() string {
		said, err := bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err)
		require.NotContains(t, said, "failed:")
		return strings.TrimSpace(said)
	}
	return url, func(kill bool) {
		if kill {
			require.NoError(t, cmd.Process.Kill())
		}
		require.NoError(t, stdin.Close())
		require.Equal(t, kill, cmd.Wait() != nil)
	}
}

func TestTheBinariesOfOneRunShareTheContainer(t *testing.T) {
	engine(t)
	other, end := process(t, testcontainers.SessionID())
	defer end(false)
	url := other()
	require.Equal(t, container.Start(t).URL(), url)
	require.Equal(t, container.Start(t, container.Image(container.DefaultImage)).URL(), url)
}

func TestAKilledBinaryLeavesNoContainer(t *testing.T) {
	docker := engine(t)
	// The port distinguishes the test's container from the containers of different runs.
	containers := func(url string) int {
		cfg, err := pgx.ParseConfig(url)
		require.NoError(t, err)
		list, err := docker.ContainerList(t.Context(), client.ContainerListOptions{
			All: true, Filters: make(client.Filters).Add("publish", strconv.Itoa(int(cfg.Port))),
		})
		require.NoError(t, err)
		return len(list.Items)
	}
	session := fmt.Sprintf("another-run-%d", os.Getpid())
	// Both binaries start at the same time, and either makes the container.
	first, endFirst := process(t, session)
	second, endSecond := process(t, session)
	url := first()
	require.Equal(t, url, second())
	require.NotEqual(t, container.Start(t).URL(), url)
	require.Equal(t, 1, containers(url))
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	require.NoError(t, conn.Close(t.Context()))
	endFirst(true)
	endSecond(true)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(2 * time.Minute); containers(url) > 0; <-tick.C {
		require.True(t, time.Now().Before(deadline), "the container stays")
	}
}

// failed takes the message of a Fatalf.
type failed struct {
	testing.TB
	message string
}

func (*failed) Helper() {}

func (f *failed) Fatalf(format string, args ...any) {
	f.message = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestAnImageThatCanNotBeHadIsNamed(t *testing.T) {
	engine(t)
	f := &failed{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		container.Start(f, container.Image("no such image"))
	}()
	<-done
	require.Contains(t, f.message, "container: start no such image")
	require.Contains(t, f.message, "TEST_DATABASE_URL")
	t.Log(f.message)
}
