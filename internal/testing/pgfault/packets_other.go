//go:build !linux

package pgfault

import (
	"errors"
	"syscall"
)

func dropPackets(syscall.Conn) error { return errors.ErrUnsupported }

func passPackets(syscall.Conn) {}
