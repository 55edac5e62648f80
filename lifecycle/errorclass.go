package lifecycle

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrorClass returns one short word for an error, for the labels of metrics and traces: the
// SQLSTATE of a server's error, else timeout and queue_full (of an acquire), draining,
// nested_acquire, canceled and deadline_exceeded (the caller's context), connection (the
// network), not_started, or other. The word is empty for nil and for [pgx.ErrNoRows].
func ErrorClass(err error) string {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return ""
	}
	var acquire *AcquireError
	if errors.As(err, &acquire) {
		err = acquire.Err // and not why the server can't be reached
	}
	var pgErr *pgconn.PgError
	var connect *pgconn.ConnectError
	var network *net.OpError
	switch {
	case errors.As(err, &pgErr):
		return pgErr.Code
	case errors.Is(err, ErrAcquireTimeout):
		return "timeout"
	case errors.Is(err, ErrQueueFull):
		return "queue_full"
	case errors.Is(err, ErrNestedAcquire):
		return "nested_acquire"
	case errors.Is(err, ErrDraining):
		return "draining"
	case errors.Is(err, ErrNotStarted):
		return "not_started"
	case errors.As(err, &connect): // whose own timeout is not the caller's
		return "connection"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline_exceeded"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, pgconn.ErrConnClosed), errors.As(err, &network):
		return "connection"
	}
	return "other"
}
