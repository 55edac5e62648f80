package fxdbotel

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"

	"github.com/agentagency/onepool/fxdb"
)

// Observe gives the pool's metrics to the MeterProvider. By client they begin
// with this call. It fails when the MeterProvider refuses an instrument.
//
// stop unregisters them and lets go of the pool. Call it before db.Close; a
// second call is a no-op.
func Observe(db *fxdb.DB, cfg Config) (stop func() error, err error) {
	p, err := newPoolMetrics(db, cfg)
	if err != nil {
		return nil, err
	}
	silence := db.Monitor().Observe(p.events)
	registration, err := p.register()
	if err != nil {
		silence()
		return nil, err
	}
	return sync.OnceValue(func() error {
		silence()
		return registration.Unregister()
	}), nil
}

// poolMetrics reads the pool's figures when they are collected.
type poolMetrics struct {
	db     *fxdb.DB
	events *events
	meter  metric.Meter

	count, pending metric.Int64ObservableUpDownCounter
	max, idleMin   metric.Int64ObservableUpDownCounter
	timeouts       metric.Int64ObservableCounter
	tenants        *tenants // nil: not asked for

	poolMin int64
}

func newPoolMetrics(db *fxdb.DB, cfg Config) (*poolMetrics, error) {
	meter := cfg.withDefaults().MeterProvider.Meter(scopeName, metric.WithSchemaURL(semconv.SchemaURL))
	pc := db.Pool().Config()
	// It tells pools apart, and holds no password and no user.
	name := pc.ConnConfig.RuntimeParams["application_name"] + "@" + db.Monitor().Database()
	p := &poolMetrics{db: db, meter: meter, poolMin: int64(pc.MinConns)}

	var errs [7]error
	p.events, errs[0] = newEvents(meter, semconv.DBClientConnectionPoolName(name))
	count, err := dbconv.NewClientConnectionCountObservable(meter)
	p.count, errs[1] = count.Inst(), err
	pending, err := dbconv.NewClientConnectionPendingRequestsObservable(meter)
	p.pending, errs[2] = pending.Inst(), err
	limit, err := dbconv.NewClientConnectionMaxObservable(meter)
	p.max, errs[3] = limit.Inst(), err
	idleMin, err := dbconv.NewClientConnectionIdleMinObservable(meter)
	p.idleMin, errs[4] = idleMin.Inst(), err
	timeouts, err := dbconv.NewClientConnectionTimeoutsObservable(meter)
	p.timeouts, errs[5] = timeouts.Inst(), err
	if cfg.Tenants {
		p.tenants, errs[6] = newTenants(meter, p.events.pool)
	}
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("fxdbotel: make the instruments: %w", err)
	}
	return p, nil
}

func (p *poolMetrics) register() (metric.Registration, error) {
	instruments := []metric.Observable{p.count, p.pending, p.max, p.idleMin, p.timeouts}
	if p.tenants != nil {
		instruments = append(instruments, p.tenants.instruments()...)
	}
	r, err := p.meter.RegisterCallback(p.observe, instruments...)
	if err != nil {
		return nil, fmt.Errorf("fxdbotel: register the pool's metrics: %w", err)
	}
	return r, nil
}

// observe sends nothing to the server, and is safe before a start and after a stop.
func (p *poolMetrics) observe(_ context.Context, o metric.Observer) error {
	s := p.db.Stats()
	observe := func(i metric.Int64Observable, v int64, client string, attrs ...attribute.KeyValue) {
		o.ObserveInt64(i, v, metric.WithAttributeSet(p.events.attributes(client, attrs...)))
	}
	observe(p.max, int64(s.Max), "")
	observe(p.idleMin, p.poolMin, "")
	observe(p.count, int64(s.Idle), "", semconv.DBClientConnectionStateIdle)

	used := make(map[string]int64)
	unnamed := s.Waiting
	for _, client := range s.Clients {
		used[client.Name] = 0
		observe(p.pending, int64(client.Waiting), client.Name)
		unnamed -= client.Waiting
		p.events.of(client.Name) // a counter has to be seen at 0 for its first step to show
	}
	observe(p.pending, int64(max(0, unnamed)), "")
	// Stats has those who were named; uses of the raw pool are holders too.
	for _, h := range p.db.Monitor().Holders() {
		used[h.Client]++
	}
	for client, n := range used {
		observe(p.count, n, client, semconv.DBClientConnectionStateUsed)
	}
	for client, series := range *p.events.clients.Load() {
		if client != "" { // the pool itself only connects
			observe(p.timeouts, series.timeouts.Load(), client)
		}
	}
	if p.tenants != nil {
		p.tenants.observe(o, s.Tenants)
	}
	return nil
}
