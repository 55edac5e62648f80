package lifecycle_test

import (
	"bytes"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/lifecycle"
)

// pgconn reads in the background during a slow write. Through a Unix socket the write to
// a server that has gone fails at once, and pgconn drops what the read brought.
func TestAFailedWriteHasTheServersWordsThatAReadHasTaken(t *testing.T) {
	t.Parallel()
	answer, err := (&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}).Encode(nil)
	require.NoError(t, err)
	refusal, err := (&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "42P01"}).Encode(nil)
	require.NoError(t, err)
	ready, err := (&pgproto3.ReadyForQuery{TxStatus: 'I'}).Encode(nil)
	require.NoError(t, err)
	for name, before := range map[string][][]byte{
		"alone": nil, "behind an answer": {answer, ready}, "behind an error": {refusal, ready},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := lifecycle.OverSocket(farewell(t, before...))
			_, err := conn.Read(make([]byte, 1<<10))
			require.NoError(t, err)
			requireFarewell(t, conn)
		})
	}
}

// slowRead is a connection whose first read has taken the server's words, and returns the
// words only when a write has failed.
type slowRead struct {
	net.Conn
	reads         atomic.Int32
	taken, failed chan struct{}
}

func (c *slowRead) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.reads.Add(1) == 1 {
		close(c.taken)
		<-c.failed
	}
	return n, err
}

func (c *slowRead) SetReadDeadline(t time.Time) error {
	// A write that does not wait for the read is over by then.
	time.AfterFunc(50*time.Millisecond, func() { close(c.failed) })
	return c.Conn.SetReadDeadline(t)
}

func TestAFailedWriteWaitsForTheReadThatHasTheServersWords(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	slow := &slowRead{Conn: farewell(t), taken: make(chan struct{}), failed: make(chan struct{})}
	conn := lifecycle.OverSocket(slow)
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = conn.Read(make([]byte, 1<<10)) })
	receive(t, slow.taken)
	requireFarewell(t, conn)
	reading.Wait()
}

// farewell returns a connection whose server has sent messages and its last words in one write,
// and has gone.
func farewell(t *testing.T, messages ...[]byte) net.Conn {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer listener.Close()
	client, err := net.Dial("unix", listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	server, err := listener.Accept()
	require.NoError(t, err)
	words, err := (&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "25P03", Message: "terminating connection"}).Encode(nil)
	require.NoError(t, err)
	_, err = server.Write(append(bytes.Join(messages, nil), words...))
	require.NoError(t, err)
	require.NoError(t, server.Close())
	return client
}

func requireFarewell(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := conn.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
	var said *pgconn.PgError
	require.ErrorAs(t, err, &said)
	require.Equal(t, "25P03", said.Code)
}
