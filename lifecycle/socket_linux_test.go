package lifecycle

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASocketNoticesADeadNetwork(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	s := newSockets((&net.Dialer{KeepAlive: -1}).DialContext)
	conn, err := s.dial(t.Context(), "tcp", ln.Addr().String())
	require.NoError(t, err)
	defer s.cutAll()

	raw, err := conn.(*socket).Conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		for _, o := range []struct{ level, option, want int }{
			{syscall.SOL_SOCKET, syscall.SO_KEEPALIVE, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE, 2},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL, 1},
			{syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT, 3},
			{syscall.IPPROTO_TCP, tcpUserTimeout, 5000},
		} {
			got, err := syscall.GetsockoptInt(int(fd), o.level, o.option)
			require.NoError(t, err)
			require.Equal(t, o.want, got, "option %d", o.option)
		}
	}))
	_, err = s.dial(t.Context(), "tcp", "127.0.0.1:1")
	require.Error(t, err)
	s.cutAll()
	_, err = s.dial(t.Context(), "tcp", ln.Addr().String())
	require.ErrorIs(t, err, ErrDraining)
}
