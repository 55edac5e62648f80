package scoped

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/internal/backend"
)

// unsentError is the error of a connection that broke before pgx sent the statement.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error     { return e.error }
func (e *unsentError) SafeToRetry() bool { return true }

// sentError is the error of a connection that broke after pgx sent the statement.
// pgconn.SafeToRetry is false for a sentError: the statement may have run.
type sentError struct{ error }

func (e *sentError) Error() string     { return "connection lost: " + e.error.Error() }
func (e *sentError) Unwrap() error     { return e.error }
func (e *sentError) SafeToRetry() bool { return false }

// causeError is pgconn's "conn closed" with the cause of the closed connection.
type causeError struct{ error, cause error }

func (e *causeError) Error() string   { return e.error.Error() + ": " + e.cause.Error() }
func (e *causeError) Unwrap() []error { return []error{e.error, e.cause} }

// WithCause adds the cause to an error that reports only a closed connection.
func WithCause(conn *pgx.Conn, err error) error {
	if err == nil || conn == nil || !conn.IsClosed() || !errors.Is(err, pgconn.ErrConnClosed) {
		return err
	}
	cause := backend.Of(conn).BrokenBy()
	if cause == nil || errors.Is(err, cause) {
		return err
	}
	return &causeError{err, cause}
}

// LostAfter marks err as the error of a sent statement. An error of the server stays bare,
// as in pgx.
func LostAfter(conn *pgx.Conn, err error) error {
	var sent *sentError
	if err == nil || !conn.IsClosed() || isBare(err) || errors.As(err, &sent) {
		return err
	}
	return &sentError{WithCause(conn, err)}
}

// lostBefore marks err as an error from before the statement. A bare error can't carry
// the mark: see [LostInPreparation].
func lostBefore(conn *pgx.Conn, st *statements, err error) error {
	if err == nil || !conn.IsClosed() {
		return err
	}
	st.unsent = true
	if isBare(err) {
		return err
	}
	return &unsentError{WithCause(conn, err)}
}

// isBare reports whether err is a *pgconn.PgError that no other error wraps.
func isBare(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && err == error(pgErr) //nolint:errorlint // a wrapper is what is asked about
}
