package lifecycle_test

import (
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/lifecycle"
)

// pgconn reads in the background during a slow write. Through a Unix socket the write to
// a server that has gone fails at once, and pgconn drops what the read brought.
func TestAFailedWriteHasTheServersWordsThatAReadHasTaken(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	require.NoError(t, err)
	defer listener.Close()
	dialled, err := net.Dial("unix", listener.Addr().String())
	require.NoError(t, err)
	conn := lifecycle.OverSocket(dialled)
	defer conn.Close()
	server, err := listener.Accept()
	require.NoError(t, err)
	words, err := (&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "25P03", Message: "terminating connection"}).Encode(nil)
	require.NoError(t, err)
	_, err = server.Write(words)
	require.NoError(t, err)

	read := make([]byte, len(words))
	_, err = conn.Read(read)
	require.NoError(t, err)
	require.NoError(t, server.Close())
	_, err = conn.Write([]byte("x"))
	require.ErrorIs(t, err, syscall.EPIPE)
	var said *pgconn.PgError
	require.ErrorAs(t, err, &said)
	require.Equal(t, "25P03", said.Code)
}
