package modules

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// The classes of the clients' errors, found with [errors.Is]. The pool's errors
// (fxdb.ErrNotStarted, ErrDraining, ErrAcquireTimeout, ErrTenantRequired) come through
// unchanged.
var (
	ErrUnavailable = errors.New("the database can't do this now")          // SQLSTATE classes 08 and 53, 57P01 to 57P05, 25006 (a standby), 40001 and 40P01 (conflicts, after all retries), a refused login, a connection that can't be opened or broke
	ErrTimeout     = errors.New("the database took too long")              // 57014, 55P03, 25P03, 25P04, the context's deadline
	ErrNotFound    = errors.New("not found")                               // no row where one is required
	ErrConflict    = errors.New("already exists")                          // 23505
	ErrReference   = errors.New("refers to something that does not exist") // 23503
	ErrInvalid     = errors.New("invalid")                                 // 23514, 23502, 22001, 22003, 22007, 22008, 22021, 22P02, 22P05, class 54 (too large for the server), or a check before sending
	ErrForbidden   = errors.New("not allowed")                             // 42501, a row-level security refusal included
	ErrSchema      = errors.New("the schema is not what the client needs") // 42P01, 42703, 3F000, or migrations that are missing
	errServer      = errors.New("the database refused the statement")      // every other SQLSTATE
)

// classified is an error with its class. The text has the SQLSTATE and the constraint, never the
// server's message or detail, which repeat values.
type classified struct {
	class, err error
	detail     string
}

func (e *classified) Error() string {
	if e.detail == "" {
		return e.class.Error()
	}
	return e.class.Error() + " (" + e.detail + ")"
}

func (e *classified) Unwrap() []error { return []error{e.class, e.err} }

// settled are the errors that [Classify] leaves unchanged.
var settled = []error{
	fxdb.ErrNotStarted, fxdb.ErrDraining, fxdb.ErrAcquireTimeout, fxdb.ErrQueueFull, fxdb.ErrTenantRequired,
	fxdb.ErrTenantNotCarried, fxdb.ErrNestedAcquire, tenant.ErrInvalid, ErrUnavailable, ErrTimeout, ErrNotFound,
	ErrConflict, ErrReference, ErrInvalid, ErrForbidden, ErrSchema, errServer, context.Canceled,
}

// Classify returns err with the error's class: [errors.Is] finds the class, [errors.As] the
// server's error. nil stays nil; errors that have a class already, or are no fault of the
// database, stay unchanged. A wait for a connection to an unreachable server is both
// [fxdb.ErrAcquireTimeout] and [ErrUnavailable].
func Classify(err error) error {
	if err == nil || errors.Is(err, ErrUnavailable) {
		return err
	}
	var acquireErr *fxdb.AcquireError
	waited := errors.As(err, &acquireErr)
	if waited && acquireErr.Connect != nil && !errors.Is(err, context.Canceled) {
		return &classified{ErrUnavailable, err, acquireErr.Error()}
	}
	if slices.ContainsFunc(settled, func(known error) bool { return errors.Is(err, known) }) {
		return err
	}
	var pgErr *pgconn.PgError
	var connectErr *pgconn.ConnectError
	var netErr net.Error
	isPg := errors.As(err, &pgErr)
	switch {
	case waited: // and the caller's deadline came first
		return &classified{ErrTimeout, err, acquireErr.Error()}
	case isPg && errors.As(err, &connectErr): // a refused login, for any reason
		return &classified{ErrUnavailable, err, "SQLSTATE " + pgErr.Code}
	case isPg:
		detail := "SQLSTATE " + pgErr.Code
		if hint, ok := hints[pgErr.Code]; ok {
			detail += ": " + hint
		}
		if pgErr.ConstraintName != "" {
			detail += ", constraint " + pgErr.ConstraintName
		}
		return &classified{class(pgErr.Code), err, detail}
	case errors.Is(err, context.DeadlineExceeded):
		return &classified{ErrTimeout, err, ""}
	case errors.Is(err, pgx.ErrNoRows):
		return &classified{ErrNotFound, err, ""}
	case errors.As(err, &connectErr), errors.As(err, &netErr), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, pgconn.ErrConnClosed), // pgx says no more of a lost answer in the simple protocol
		pgconn.SafeToRetry(err):
		return &classified{ErrUnavailable, err, "it can't be reached, or the connection broke"}
	}
	return err
}

// hints explain codes whose class says too little.
var hints = map[string]string{
	"40001": "others were in the way, several times: try again",
	"40P01": "others were in the way, several times: try again",
	"25006": "the server is a read-only standby",
}

func class(code string) error {
	switch code {
	case "57P01", "57P02", "57P03", "57P04", "57P05", "25006", "40001", "40P01":
		return ErrUnavailable
	case "57014", "55P03", "25P03", "25P04":
		return ErrTimeout
	case "23505":
		return ErrConflict
	case "23503":
		return ErrReference
	case "23514", "23502", "22001", "22003", "22007", "22008", "22021", "22P02", "22P05":
		return ErrInvalid
	case "42501":
		return ErrForbidden
	case "42P01", "42703", "3F000":
		return ErrSchema
	}
	switch {
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "53"):
		return ErrUnavailable
	case strings.HasPrefix(code, "54"):
		return ErrInvalid
	}
	return errServer
}
