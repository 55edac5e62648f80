package fxdbotel

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"

	"github.com/agentagency/onepool/lifecycle"
)

// ClientKey is the attribute of a metric or span with the client's name.
const ClientKey = attribute.Key("onepool.client")

// The buckets in seconds. A wait is compared with a timeout of seconds, a use
// with the leak threshold of a minute.
var (
	waitBuckets   = metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30)
	useBuckets    = metric.WithExplicitBucketBoundaries(.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300)
	createBuckets = metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
)

// events records what the pool tells. It does not know the pool, so the pool may
// know it without a circle.
type events struct {
	pool attribute.KeyValue

	create, wait, use metric.Float64Histogram

	mu      sync.Mutex
	clients atomic.Pointer[map[string]*series] // replaced, never changed
}

// series are one client's. Its attributes are made once: an acquire costs less.
type series struct {
	timeouts atomic.Int64
	ok       []metric.RecordOption
	failed   map[string][]metric.RecordOption // by error.type
}

// The values of error.type.
const (
	timedOut  = "timeout"
	queueFull = "queue_full"
	canceled  = "canceled"
	otherwise = "error"
)

func newEvents(meter metric.Meter, pool attribute.KeyValue) (*events, error) {
	e := &events{pool: pool}
	e.clients.Store(&map[string]*series{})
	create, err1 := dbconv.NewClientConnectionCreateTime(meter, createBuckets)
	wait, err2 := dbconv.NewClientConnectionWaitTime(meter, waitBuckets)
	use, err3 := dbconv.NewClientConnectionUseTime(meter, useBuckets)
	e.create, e.wait, e.use = create.Inst(), wait.Inst(), use.Inst()
	return e, errors.Join(err1, err2, err3)
}

// attributes are the pool's name and the client's, where there is one.
func (e *events) attributes(client string, more ...attribute.KeyValue) attribute.Set {
	attrs := append([]attribute.KeyValue{e.pool}, more...)
	if client != "" {
		attrs = append(attrs, ClientKey.String(client))
	}
	return attribute.NewSet(attrs...)
}

func (e *events) of(client string) *series {
	if s := (*e.clients.Load())[client]; s != nil {
		return s
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	known := *e.clients.Load()
	if s := known[client]; s != nil {
		return s
	}
	s := &series{
		ok:     []metric.RecordOption{metric.WithAttributeSet(e.attributes(client))},
		failed: make(map[string][]metric.RecordOption),
	}
	for _, why := range []string{timedOut, queueFull, canceled, otherwise} {
		set := e.attributes(client, semconv.ErrorTypeKey.String(why))
		s.failed[why] = []metric.RecordOption{metric.WithAttributeSet(set)}
	}
	now := maps.Clone(known)
	now[client] = s
	e.clients.Store(&now)
	return s
}

// Acquired records the wait, and counts timeouts.
func (e *events) Acquired(client string, waited time.Duration, err error) {
	s := e.of(client)
	attrs := s.ok
	if err != nil {
		why := reason(err)
		if why == timedOut {
			s.timeouts.Add(1)
		}
		attrs = s.failed[why]
	}
	e.wait.Record(context.Background(), waited.Seconds(), attrs...)
}

// reason is the error.type of an acquire.
func reason(err error) string {
	var acquire *lifecycle.AcquireError
	var connect *pgconn.ConnectError
	switch {
	case errors.As(err, &acquire):
		err = acquire.Err // and not why the server can't be reached
	case errors.As(err, &connect):
		return otherwise // its own timeout is not the caller's
	}
	switch {
	case errors.Is(err, lifecycle.ErrAcquireTimeout):
		return timedOut
	case errors.Is(err, lifecycle.ErrQueueFull):
		return queueFull
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return canceled
	}
	return otherwise
}

// Released records the time that a connection was held.
func (e *events) Released(client string, held time.Duration) {
	e.use.Record(context.Background(), held.Seconds(), e.of(client).ok...)
}

// Connected records the time to open a connection.
func (e *events) Connected(client string, took time.Duration, err error) {
	s := e.of(client)
	attrs := s.ok
	if err != nil {
		attrs = s.failed[otherwise]
	}
	e.create.Record(context.Background(), took.Seconds(), attrs...)
}
