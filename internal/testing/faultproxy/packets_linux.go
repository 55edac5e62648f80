package faultproxy

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// dropPackets makes the kernel drop every packet for a socket before TCP has seen the
// packet (socket(7), SO_ATTACH_FILTER). The connections of a listener inherit the filter.
func dropPackets(c syscall.Conn) error {
	none := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0} // 0 bytes of each
	return control(c, func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none})
	})
}

// passPackets removes the filter of dropPackets.
func passPackets(c syscall.Conn) {
	_ = control(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0) })
}

func control(c syscall.Conn, fn func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if cerr := raw.Control(func(fd uintptr) { err = fn(int(fd)) }); cerr != nil {
		return cerr
	}
	return err
}
