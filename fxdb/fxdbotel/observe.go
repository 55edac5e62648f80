package fxdbotel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/lifecycle"
)

// Observe registers the pool's metrics with cfg's MeterProvider. The timeouts and the histograms
// of connections begin with the call of Observe. Observe fails if the MeterProvider refuses an
// instrument.
//
// [fxdb.DB.Close] unregisters the metrics at the end of the drain, and stop at any time.
// Afterwards the MeterProvider no longer keeps the pool alive. A second call of stop is a no-op.
func Observe(db *fxdb.DB, cfg Config) (stop func() error, err error) {
	p, err := newPoolMetrics(db, cfg)
	if err != nil {
		return nil, err
	}
	silence := p.listen()
	stop, err = p.register(silence)
	if err != nil {
		silence()
	}
	return stop, err
}

// poolMetrics reads the figures of all pools at a collection.
type poolMetrics struct {
	db    *fxdb.DB
	meter metric.Meter
	pools []*pool // the shared pool first, then the pools in the order of fxdb.Stats.Dedicated

	count, pending    metric.Int64ObservableUpDownCounter
	max, idleMin      metric.Int64ObservableUpDownCounter
	timeouts          metric.Int64ObservableCounter
	wouldWait, system metric.Int64ObservableCounter
	incidents         *incidents
	tenants           *tenants // nil without Config.Tenants
}

// pool is a single pool with the events.
type pool struct {
	monitor *lifecycle.Monitor
	events  *events
	min     int64
}

func newPoolMetrics(db *fxdb.DB, cfg Config) (*poolMetrics, error) {
	meter := cfg.withDefaults().MeterProvider.Meter(scopeName, metric.WithSchemaURL(semconv.SchemaURL))
	p := &poolMetrics{db: db, meter: meter}
	var errs []error
	failed := func(err error) { errs = append(errs, err) }
	for _, m := range db.Monitors() {
		e, err := newEvents(meter, semconv.DBClientConnectionPoolName(m.Name()))
		failed(err)
		p.pools = append(p.pools, &pool{monitor: m, events: e, min: int64(m.Pool().Config().MinConns)})
	}
	count, err := dbconv.NewClientConnectionCountObservable(meter)
	failed(err)
	pending, err := dbconv.NewClientConnectionPendingRequestsObservable(meter)
	failed(err)
	limit, err := dbconv.NewClientConnectionMaxObservable(meter)
	failed(err)
	idleMin, err := dbconv.NewClientConnectionIdleMinObservable(meter)
	failed(err)
	timeouts, err := dbconv.NewClientConnectionTimeoutsObservable(meter)
	failed(err)
	p.count, p.pending, p.max, p.idleMin, p.timeouts = count.Inst(), pending.Inst(), limit.Inst(), idleMin.Inst(), timeouts.Inst()
	p.wouldWait, err = meter.Int64ObservableCounter("onepool.client.connection.would_wait", metric.WithUnit("{request}"), metric.WithDescription("Acquires of the client that would have waited, if DB_SHARING is dry-run."))
	failed(err)
	p.system, err = meter.Int64ObservableCounter("onepool.client.system_uses", metric.WithUnit("{use}"), metric.WithDescription("Uses of the client outside any tenant, by tenant.System."))
	failed(err)
	p.incidents, err = newIncidents(meter)
	failed(err)
	if cfg.Tenants {
		p.tenants, err = newTenants(meter, p.pools[0].events.pool)
		failed(err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("fxdbotel: make the instruments: %w", err)
	}
	return p, nil
}

// listen subscribes the events to all pools, until the caller calls silence.
func (p *poolMetrics) listen() (silence func()) {
	var all []func()
	for _, own := range p.pools {
		all = append(all, own.monitor.Observe(own.events))
	}
	return func() {
		for _, stop := range all {
			stop()
		}
	}
}

// register observes the pools until a call of stop, or the end of the drain. At the end of the
// observation, register calls then.
func (p *poolMetrics) register(then func()) (stop func() error, err error) {
	instruments := append([]metric.Observable{p.count, p.pending, p.max, p.idleMin, p.timeouts, p.wouldWait, p.system}, p.incidents.instruments()...)
	if p.tenants != nil {
		instruments = append(instruments, p.tenants.instruments()...)
	}
	r, err := p.meter.RegisterCallback(p.observe, instruments...)
	if err != nil {
		return nil, fmt.Errorf("fxdbotel: register the pool's metrics: %w", err)
	}
	end := sync.OnceValue(func() error {
		then()
		return r.Unregister()
	})
	forget := p.db.AfterClose(func() { _ = end() })
	return func() error {
		forget()
		return end()
	}, nil
}

// observe is safe before a start and after a stop. observe probes the server of a pool, unless
// the pool's own traffic has just proved that the server answers.
func (p *poolMetrics) observe(ctx context.Context, o metric.Observer) error {
	for _, own := range p.pools {
		p.incidents.observe(ctx, o, own.monitor, own.events)
	}
	shared := p.db.Stats()
	for i, d := range shared.Dedicated {
		p.observePool(o, p.pools[i+1], d)
		shared.Clients = slices.DeleteFunc(shared.Clients, func(s fxdb.ClientStats) bool { return s.Name == d.Client })
	}
	p.observePool(o, p.pools[0], shared.PoolStats)
	if p.tenants != nil {
		p.tenants.observe(o, shared.Tenants)
	}
	return nil
}

func (p *poolMetrics) observePool(o metric.Observer, of *pool, s fxdb.PoolStats) {
	observe := func(i metric.Int64Observable, v int64, client string, attrs ...attribute.KeyValue) {
		o.ObserveInt64(i, v, metric.WithAttributeSet(of.events.attributes(client, attrs...)))
	}
	observe(p.max, int64(s.Max), "")
	observe(p.idleMin, of.min, "")
	observe(p.count, int64(s.Idle), "", semconv.DBClientConnectionStateIdle)

	used := make(map[string]int64)
	unnamed := s.Waiting
	for _, client := range s.Clients {
		used[client.Name] = 0
		observe(p.pending, int64(client.Waiting), client.Name)
		unnamed -= client.Waiting
		observe(p.wouldWait, client.WouldWait, client.Name)
		observe(p.system, int64(client.System), client.Name)
		of.events.of(client.Name) // a reader shows a counter's first step only after a collection at 0
	}
	observe(p.pending, int64(max(0, unnamed)), "")
	// Stats has the named clients only. Holders has the uses of the raw pool too.
	for _, h := range of.monitor.Holders() {
		used[h.Client]++
	}
	for client, n := range used {
		observe(p.count, n, client, semconv.DBClientConnectionStateUsed)
	}
	for client, series := range *of.events.clients.Load() {
		if client != "" { // the pool itself only connects
			observe(p.timeouts, series.timeouts.Load(), client)
		}
	}
}
