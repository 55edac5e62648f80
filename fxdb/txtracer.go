package fxdb

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"
)

// TxTracer is a tracer for [WithTracer] that also traces the attempts of [DB.InTx]: pgx
// has no tracer of transactions.
type TxTracer interface {
	pgx.QueryTracer
	// TraceTxStart is called before an attempt of client begins. attempt counts from 1. BEGIN, COMMIT and ROLLBACK get the
	// context that TraceTxStart returns; the function of InTx has a context of its own.
	TraceTxStart(ctx context.Context, client string, attempt int) context.Context
	// TraceTxEnd is called when the attempt has ended. err is nil if the attempt has committed.
	TraceTxEnd(ctx context.Context, err error)
}

// LogTracer is a tracer for [WithTracer] with log fields, for example the ids of trace and
// span. The pool adds the fields to the log lines about a caller.
type LogTracer interface {
	pgx.QueryTracer
	// LogFields returns the fields of ctx. LogFields must be cheap, because every acquire
	// calls LogFields.
	LogFields(ctx context.Context) []zap.Field
}

// errPanicked is the result of an attempt whose function panics.
var errPanicked = errors.New("the function of InTx panicked")

// traceTx reports an attempt to the tracers. Call end with the attempt's result.
func (c *core) traceTx(ctx context.Context, client string, attempt int) (_ context.Context, end func(error)) {
	if len(c.txTracers) == 0 {
		return ctx, func(error) {}
	}
	for _, t := range c.txTracers {
		ctx = t.TraceTxStart(ctx, client, attempt)
	}
	return ctx, func(err error) {
		for _, t := range c.txTracers {
			t.TraceTxEnd(ctx, err)
		}
	}
}

// txTracers returns the tracers that trace transactions.
func txTracers(all []pgx.QueryTracer) (tx []TxTracer) {
	for _, t := range all {
		if t, ok := t.(TxTracer); ok {
			tx = append(tx, t)
		}
	}
	return tx
}

// logFields returns the log fields of all tracers, and is nil if no tracer has log fields.
func logFields(all []pgx.QueryTracer) func(context.Context) []zap.Field {
	var tracers []LogTracer
	for _, t := range all {
		if t, ok := t.(LogTracer); ok {
			tracers = append(tracers, t)
		}
	}
	if tracers == nil {
		return nil
	}
	return func(ctx context.Context) (fields []zap.Field) {
		for _, t := range tracers {
			fields = append(fields, t.LogFields(ctx)...)
		}
		return fields
	}
}
