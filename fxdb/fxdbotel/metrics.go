package fxdbotel

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"

	"github.com/agentagency/onepool/lifecycle"
)

// ClientKey is the attribute of a metric or span with the client's name.
const ClientKey = attribute.Key("onepool.client")

// The buckets are in seconds. A point read takes 0.1 ms. Operators compare a wait with a timeout
// of seconds, and a use with the leak threshold of a minute.
var (
	waitBuckets   = metric.WithExplicitBucketBoundaries(.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30)
	useBuckets    = metric.WithExplicitBucketBoundaries(.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300)
	createBuckets = metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
)

// events records the events of a pool. events has no reference to the pool: the pool can refer to
// events without a cycle.
type events struct {
	pool attribute.KeyValue

	create, wait, use metric.Float64Histogram

	mu      sync.Mutex
	clients atomic.Pointer[map[string]*series] // replaced, never changed
}

// series holds the timeouts and the attributes of a client. events.of makes the attributes once:
// making attributes costs more than an acquire.
type series struct {
	timeouts atomic.Int64
	ok       []metric.RecordOption
	failed   sync.Map // of []metric.RecordOption, by error.type
}

// timedOut is the error.type of an acquire beyond DB_CONNECTION_TIMEOUT_MS.
const timedOut = "timeout"

func newEvents(meter metric.Meter, pool attribute.KeyValue) (*events, error) {
	e := &events{pool: pool}
	e.clients.Store(&map[string]*series{})
	create, err1 := dbconv.NewClientConnectionCreateTime(meter, createBuckets)
	wait, err2 := dbconv.NewClientConnectionWaitTime(meter, waitBuckets)
	use, err3 := dbconv.NewClientConnectionUseTime(meter, useBuckets)
	e.create, e.wait, e.use = create.Inst(), wait.Inst(), use.Inst()
	return e, errors.Join(err1, err2, err3)
}

// attributes returns the pool's name, more, and the client's name if client is not empty.
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
		ok: []metric.RecordOption{metric.WithAttributeSet(e.attributes(client))},
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
	if why := lifecycle.ErrorClass(err); why != "" {
		if why == timedOut {
			s.timeouts.Add(1)
		}
		attrs = e.failed(s, client, why)
	}
	e.wait.Record(context.Background(), waited.Seconds(), attrs...)
}

// failed returns the attributes of a client's failure with the error.type why.
func (e *events) failed(s *series, client, why string) []metric.RecordOption {
	known, ok := s.failed.Load(why)
	if !ok {
		set := e.attributes(client, semconv.ErrorTypeKey.String(why))
		known, _ = s.failed.LoadOrStore(why, []metric.RecordOption{metric.WithAttributeSet(set)})
	}
	return known.([]metric.RecordOption)
}

// Released records the time of a hold.
func (e *events) Released(client string, held time.Duration) {
	e.use.Record(context.Background(), held.Seconds(), e.of(client).ok...)
}

// Connected records the time to open a connection.
func (e *events) Connected(client string, took time.Duration, err error) {
	s := e.of(client)
	attrs := s.ok
	if why := lifecycle.ErrorClass(err); why != "" {
		attrs = e.failed(s, client, why)
	}
	e.create.Record(context.Background(), took.Seconds(), attrs...)
}
