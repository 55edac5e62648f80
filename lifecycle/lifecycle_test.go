package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

const applicationName = "lifecycle-test"

// atOnce is how many tests run at a time, on a machine of any size: they wait more than
// they work, and the connections of all their pools come from one server.
const atOnce = 8

func TestMain(m *testing.M) {
	size.Parallel(atOnce)
	code := m.Run()
	if err := errors.Join(stopSharedServer(), leaked()); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// leaked waits until no goroutine is left but those to ignore.
func leaked(ignore ...goleak.Option) (err error) {
	for deadline := time.Now().Add(hang); time.Now().Before(deadline); {
		if err = goleak.Find(ignore...); err == nil { // half a second is all that goleak waits
			return nil
		}
	}
	return err
}

// newMonitor builds a monitor of a pool of one to five connections; it is
// drained when the test ends. Its probes wait for a server on a busy machine.
func newMonitor(t testing.TB, url string, change func(*lifecycle.Config)) *lifecycle.Monitor {
	t.Helper()
	pc, err := pgxpool.ParseConfig(url)
	require.NoError(t, err)
	pc.MinConns, pc.MaxConns = 1, 5
	pc.ConnConfig.RuntimeParams["application_name"] = applicationName
	cfg := lifecycle.Config{Pool: pc, OpenedBy: t.Name(), Callers: true}
	if change != nil {
		change(&cfg)
	}
	m, err := lifecycle.New(cfg)
	require.NoError(t, err)
	m.SetProbeTimeout(hang)
	t.Cleanup(func() { _, _ = lifecycle.Drain(t.Context(), m, 0) })
	return m
}

// hang is how long a test waits for anything. Only a hang lasts as long, on a machine
// with other work too: shorter times are logged, and asserted nowhere.
const hang = time.Minute

// bounded is the test's context with a deadline of its own, so that a hang is a failure
// of the test that hangs.
func bounded(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	t.Cleanup(cancel)
	return ctx
}

// receive takes the next value of a channel. It fails the test when none comes.
func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(hang):
		t.Fatalf("nothing came within %s", hang)
		panic("unreachable")
	}
}

func eventually(t testing.TB, condition func() bool, msgAndArgs ...any) {
	t.Helper()
	require.Eventually(t, condition, hang, time.Millisecond, msgAndArgs...)
}

// buildPool builds a monitor of a pool on a database of the test's own.
func buildPool(t testing.TB, change func(*lifecycle.Config)) (*lifecycle.Monitor, *database) {
	t.Helper()
	db := newDatabase(t)
	return newMonitor(t, db.URL(), change), db
}

// startPool builds one and starts it.
func startPool(t testing.TB, change func(*lifecycle.Config)) (*lifecycle.Monitor, *database) {
	t.Helper()
	m, db := buildPool(t, change)
	require.NoError(t, m.Start(bounded(t)))
	return m, db
}

// acquire takes a connection, which the caller releases.
func acquire(t testing.TB, m *lifecycle.Monitor, client string) *pgxpool.Conn {
	t.Helper()
	conn, err := m.Acquire(bounded(t), lifecycle.Request{Client: client})
	require.NoError(t, err)
	return conn
}

// beginDrain begins a drain that waits for whatever is in flight. drained gets the drain's error.
func beginDrain(t testing.TB, m *lifecycle.Monitor) (drained <-chan error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { _, err := lifecycle.Drain(context.Background(), m, hang); done <- err }()
	eventually(t, m.Draining)
	return done
}

// giveUp has a statement's caller give up while the server runs the statement, which
// breaks the connection.
func giveUp(t testing.TB, db *database, conn *pgxpool.Conn) {
	t.Helper()
	const sql = "select pg_sleep(60)"
	ctx, cancel := context.WithCancel(bounded(t))
	defer cancel()
	failed := make(chan error, 1)
	go func() { _, err := conn.Exec(ctx, sql); failed <- err }()
	db.WaitForQuery(t, sql)
	cancel()
	require.ErrorIs(t, receive(t, failed), context.Canceled)
}

// neverPing lets an idle connection be had without a wait, which counts against a short
// acquire timeout.
func neverPing(context.Context, pgxpool.ShouldPingParams) bool { return false }
