package fxdbotel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/agentagency/onepool/lifecycle"
)

// fail marks span as failed. class is the class of err.
func (t *tracer) fail(span trace.Span, err error, class string) {
	text := valid(t.shown(err))
	span.SetStatus(codes.Error, text)
	span.SetAttributes(semconv.ErrorTypeKey.String(class))
	if code := sqlstate(err); code != "" {
		span.SetAttributes(semconv.DBResponseStatusCode(code))
	}
	span.AddEvent("exception", trace.WithAttributes(semconv.ExceptionType(typeOf(err)), semconv.ExceptionMessage(text)))
}

func sqlstate(err error) string {
	var acquire *lifecycle.AcquireError
	var pgErr *pgconn.PgError
	if errors.As(err, &acquire) || !errors.As(err, &pgErr) { // maybe from a different caller's connect
		return ""
	}
	return pgErr.Code
}

// shown returns a text of err that quotes no parameter and no statement. The server quotes
// parameters ("invalid input syntax for type integer: …"), pgx quotes a parameter that pgx can't
// encode, and an acquire's error quotes the holders' statements. The caller gets err in full.
func (t *tracer) shown(err error) string {
	if t.values {
		return err.Error()
	}
	var acquire *lifecycle.AcquireError
	if errors.As(err, &acquire) {
		return fmt.Sprintf("%v: client %q waited %s for a connection: %d of %d in use, %d waiting",
			acquire.Err, acquire.Client, acquire.Waited.Round(time.Millisecond), acquire.Active, acquire.Max, acquire.Waiting)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		text := fmt.Sprintf("%s (SQLSTATE %s)", pg.Severity, pg.Code)
		if pg.ConstraintName != "" {
			text += ", constraint " + pg.ConstraintName
		}
		return text
	}
	for _, known := range []error{
		lifecycle.ErrDraining, lifecycle.ErrNotStarted, lifecycle.ErrNestedAcquire, lifecycle.ErrAcquireTimeout, lifecycle.ErrQueueFull,
		context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, pgx.ErrTxClosed, pgx.ErrTxCommitRollback,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	var network *net.OpError
	if errors.As(err, &network) {
		return network.Error()
	}
	return typeOf(err)
}

// typeOf returns the type of the innermost error of err's chain.
func typeOf(err error) string {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return fmt.Sprintf("%T", err)
		}
		err = next
	}
}
