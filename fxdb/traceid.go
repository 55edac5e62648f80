package fxdb

import (
	"context"
	"errors"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/graph"
)

// maxTraceID is the longest trace id, in bytes. A W3C trace id has 32.
const maxTraceID = 128

// TraceID sends the trace id of each statement to the server, as the setting app.trace_id of
// the statement's transaction, in the same round trip. Triggers, policies and functions read
//
//	nullif(current_setting('app.trace_id', true), '')
//
// of returns the id of a context, or an empty string for a context without a trace. of must be
// cheap, because every statement calls of. fxdbotel.TraceID returns the trace id of
// OpenTelemetry.
//
// A transaction has the trace id of the context of InTx or Begin. Acquire, the simple protocol,
// COPY without a tenant, and a text that can't run in a transaction carry no trace id.
//
// A trace id has at most 128 printable ASCII characters. The pool leaves out a longer or
// different id, and logs the first one. All pools of an application share TraceID; two TraceIDs
// fail the application.
func TraceID(of func(context.Context) string) fx.Option {
	if of == nil {
		return fx.Error(errNoTraceID)
	}
	return fx.Supply(fx.Annotated{Group: "onepool.traceid", Target: graph.TraceID(of)})
}

// WithTraceID is [TraceID] for Open.
func WithTraceID(of func(context.Context) string) Option {
	return option(func(o *options) { o.traceID = of })
}

var (
	errNoTraceID   = errors.New("fxdb.TraceID: the function is nil: give a function that returns a context's trace id")
	errTwoTraceIDs = errors.New("fxdb.TraceID is given twice: keep one function")
)

// traceID returns the trace id of ctx by TraceID's function, or an empty string.
func (c *core) traceID(ctx context.Context) string {
	id := c.traceIDOf(ctx)
	if isTraceID(id) {
		return id
	}
	if c.badTraceID.CompareAndSwap(false, true) {
		c.log.Warn("a trace id is longer than 128 bytes, or holds a character that is not printable ASCII: statements go without the id",
			zap.Int("bytes", len(id)))
	}
	return ""
}

func isTraceID(id string) bool {
	for i := range len(id) {
		if id[i] < ' ' || id[i] > '~' {
			return false
		}
	}
	return len(id) <= maxTraceID
}
