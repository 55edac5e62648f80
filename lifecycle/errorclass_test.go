package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestAnErrorHasOneClass(t *testing.T) {
	t.Parallel()
	refused := &pgconn.PgError{Code: "23505"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{pgx.ErrNoRows, ""},
		{fmt.Errorf("insert: %w", refused), "23505"},
		{&AcquireError{Err: ErrAcquireTimeout, Connect: io.EOF}, "timeout"},
		{&AcquireError{Err: ErrQueueFull}, "queue_full"},
		{&AcquireError{Err: context.Canceled, Connect: refused}, "canceled"},
		{&AcquireError{Err: context.DeadlineExceeded}, "deadline_exceeded"},
		{&stoppedError{}, "draining"},
		{fmt.Errorf("acquire: %w", ErrNotStarted), "not_started"},
		{fmt.Errorf("%w (it is held)", ErrNestedAcquire), "nested_acquire"},
		{fmt.Errorf("query: %w", context.Canceled), "canceled"},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, "connection"},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), "connection"},
		{pgconn.ErrConnClosed, "connection"},
		{&endedError{io.EOF, &pgconn.PgError{Code: "57P01"}}, "57P01"},
		{errors.New("cannot encode"), "other"},
	} {
		require.Equal(t, c.want, ErrorClass(c.err), "%v", c.err)
	}
}
