//go:build !linux

package faultproxy

import (
	"errors"
	"syscall"
)

func dropPackets(syscall.Conn) error { return errors.ErrUnsupported }

func passPackets(syscall.Conn) {}
