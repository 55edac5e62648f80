package main

import (
	"context"
	"time"

	"go.uber.org/fx"
)

// subject is a client of the agency whose public methods the program times. Each subject has a
// file of its own.
type subject interface {
	// module adds the client to the application, and populates the subject with the client.
	module() fx.Option
	// client is the client. Every public method of the client needs a call.
	client() any
	// rows are statements that fill the client's tables with about n rows each, without the
	// foreign keys' checks and without triggers. growth.tenant(g) is the tenant of row g: the
	// even rows belong to the large tenant. growth.entry(g) is a UUID with the number g. A statement uses $1 for n.
	rows() []string
	// calls are the timed calls of the large tenant, in order.
	calls(n int) []call
	// loads are rates under a load, measured with -loads only, after the calls. A load beside a
	// long snapshot claims for the snapshot's length first.
	loads(w *world, n int, snapshot time.Duration) []load
}

// call is a timed call of a method.
type call struct {
	name string // of the method, or "Method: case"
	// run makes the call. i differs in each call. The answer's size is measured as JSON; nil
	// stands for no answer.
	run func(ctx context.Context, i int) (any, error)
	// before prepares a call, and is not timed; nil for nothing.
	before func(ctx context.Context, i int) error
	// times is the number of timed calls; 0 stands for -calls. A call with a number has no
	// call for warming up.
	times int
}

// load is a rate: work for a second, by workers of the load's own.
type load struct {
	name string
	run  func(ctx context.Context) (perSecond float64, err error)
}

// subjects are the clients by name, in the order of the table.
func subjects() map[string]func() subject {
	return map[string]func() subject{
		"agentregistry": func() subject { return &registry{} },
		"knowledge":     func() subject { return &facts{} },
		"orchestrator":  func() subject { return &queue{} },
		"verification":  func() subject { return &checks{} },
		"webnavigator":  func() subject { return &pages{} },
	}
}

// none is the answer of a call without an answer.
func none(err error) (any, error) { return nil, err }

// the returns an answer of a typed method.
func the[T any](v T, err error) (any, error) { return v, err }

func ptr[T any](v T) *T { return &v }
