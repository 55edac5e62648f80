package bench

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"zombiezen.com/go/postgrestest"
)

// Two kits start a server in each process, and know no templates: each test makes an empty
// database and runs the migration.

var startEmbedded = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "embedded")
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return "", err
	}
	server := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().Port(uint32(port)).RuntimePath(dir).
		BinariesPath(filepath.Dir(os.Getenv(envBinaries))).Logger(io.Discard).
		StartParameters(map[string]string{"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}))
	stopServer = func() error {
		defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
		return server.Stop()
	}
	return "postgres://postgres:postgres@127.0.0.1:" + strconv.Itoa(port) + "/postgres?sslmode=disable", server.Start()
})

var startPostgrestest = sync.OnceValues(func() (string, error) {
	server, err := postgrestest.Start(context.Background())
	if err != nil {
		return "", err
	}
	stopServer = func() error { server.Cleanup(); return nil }
	return server.DefaultDatabase(), nil
})

// stopServer stops the server that the process has started.
var stopServer = func() error { return nil }

// freshPool returns a pool on a new database of the server that start starts.
func freshPool(start func() (string, error)) func(*testing.T) *pgxpool.Pool {
	return func(t *testing.T) *pgxpool.Pool {
		url, err := start()
		require.NoError(t, err)
		name := "test_" + filepath.Base(t.Name())
		admin, err := pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		_, err = admin.Exec(t.Context(), "create database "+name)
		require.NoError(t, err)
		require.NoError(t, admin.Close(t.Context()))
		config, err := pgxpool.ParseConfig(url)
		require.NoError(t, err)
		config.ConnConfig.Database = name
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		_, err = pool.Exec(t.Context(), migration())
		require.NoError(t, err)
		return pool
	}
}

// asPostgres makes a command run as the account postgres if the process is root's: initdb
// refuses root. The account can't read the folder of a test binary, and gets a copy.
func asPostgres(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	account, err := user.Lookup("postgres")
	require.NoError(t, err)
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	require.NoError(t, err)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	cmd.Path, cmd.Dir = copyOfBinary(t), os.TempDir()
	cmd.Env = append(cmd.Env, "HOME="+os.TempDir())
}

var copied struct {
	sync.Once
	path string
}

func copyOfBinary(t *testing.T) string {
	t.Helper()
	copied.Do(func() {
		dir, err := os.MkdirTemp("", "bench") //nolint:usetesting // the account can not enter t.TempDir
		require.NoError(t, err)
		require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // another account runs the binary
		binary, err := os.ReadFile(os.Args[0])
		require.NoError(t, err)
		copied.path = filepath.Join(dir, "bench.test")
		require.NoError(t, os.WriteFile(copied.path, binary, 0o755)) //nolint:gosec // as above
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
	})
	return copied.path
}
