package devdb

import (
	"errors"
	"fmt"
	"strings"
)

// NotFoundError is returned by [Start] if the machine has no PostgreSQL server
// binaries.
type NotFoundError struct {
	// Tried lists every place of the search, with the fault of the place.
	Tried []string
}

// Error lists the places of the search, and what to install or set.
func (e *NotFoundError) Error() string {
	return "devdb: no PostgreSQL server on this machine; tried:\n  " + strings.Join(e.Tried, "\n  ") + `
do one of these:
  install it: apt-get install postgresql (Debian, Ubuntu) or brew install postgresql (macOS)
  set ` + envBindir + ` to the folder that holds initdb and postgres
  set ` + envDownload + `=1 to have PostgreSQL downloaded into your cache folder
  set DATABASE_URL to a server that you have already`
}

// UnsupportedError is the error of [Start] on a system without support for the server.
// errors.Is(err, errors.ErrUnsupported) holds for an UnsupportedError.
type UnsupportedError struct {
	// OS is the system's name, as in runtime.GOOS.
	OS string
}

// Error names the alternative.
func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("devdb: starting PostgreSQL is not supported on %s; set DATABASE_URL to a server that you have", e.OS)
}

// Unwrap makes the error an errors.ErrUnsupported.
func (e *UnsupportedError) Unwrap() error { return errors.ErrUnsupported }
