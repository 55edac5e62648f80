package fxdbotel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// shown returns err as a span may hold it.
func (t *tracer) shown(err error) error {
	if err == nil || t.values || errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return quietError{err}
}

// quietError is an error whose text quotes no parameter. The server quotes
// them ("invalid input syntax for type integer: …"), and so does pgx when it
// can't encode one. The caller of the statement gets the error itself.
type quietError struct{ err error }

// Error says what can be said without the original's text.
func (e quietError) Error() string {
	var pg *pgconn.PgError
	if errors.As(e.err, &pg) {
		text := fmt.Sprintf("%s (SQLSTATE %s)", pg.Severity, pg.Code)
		if pg.ConstraintName != "" {
			text += ", constraint " + pg.ConstraintName
		}
		return text
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, pgx.ErrTxClosed, pgx.ErrTxCommitRollback} {
		if errors.Is(e.err, known) {
			return known.Error()
		}
	}
	var network *net.OpError
	if errors.As(e.err, &network) {
		return network.Error()
	}
	return e.ErrorType()
}

// ErrorType is the attribute exception.type of a span's event: the type of the
// original, not of this one.
func (e quietError) ErrorType() string {
	err := e.err
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return fmt.Sprintf("%T", err)
		}
		err = next
	}
}

func (e quietError) Unwrap() error { return e.err }
