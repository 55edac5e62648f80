package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// The neighbours. The first one floods.
const (
	flooder    = 0
	victims    = 4
	neighbours = 1 + victims
)

func nameOf(neighbour int) string {
	if neighbour == flooder {
		return "flooder"
	}
	return fmt.Sprintf("victim-%d", neighbour)
}

// neighbour is one user of the pool: a client, or a tenant of a client.
type neighbour struct {
	db interface {
		Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	}
	tenant string // empty: none
}

// system is a pool with its neighbours.
type system struct {
	neighbours [neighbours]neighbour
	close      func(context.Context) error
}

// openPlain opens a pool without any control of sharing.
func openPlain(ctx context.Context, url string, s scenario) (*system, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(s.pool)
	cfg.ConnConfig.Tracer = stopwatch{}
	pool, err := pgxpool.NewWithConfig(ctx, cfg) //nolint:forbidigo // the world without onepool
	if err != nil {
		return nil, err
	}
	sys := &system{close: func(context.Context) error { pool.Close(); return nil }}
	for i := range sys.neighbours {
		sys.neighbours[i].db = pool
	}
	return sys, nil
}

// openShared opens onepool's pool. The neighbours are clients, or tenants of the same client.
func openShared(ctx context.Context, url string, s scenario) (*system, error) {
	db, err := fxdb.Open(ctx, fxdb.Config{
		URL: url, PoolMin: min(fxdb.DefaultPoolMin, s.pool), PoolMax: s.pool, TenantMaxFraction: s.tenantMaxFraction,
	}, fxdb.WithTracer(stopwatch{}))
	if err != nil {
		return nil, err
	}
	sys := &system{close: db.Close}
	for i := range sys.neighbours {
		switch {
		case s.tenants:
			sys.neighbours[i] = neighbour{db.Named("application", fxdb.RequireTenant()), nameOf(i)}
		case i == flooder && s.maxConns > 0:
			sys.neighbours[i].db = db.Named(nameOf(i), fxdb.MaxConns(s.maxConns))
		default:
			sys.neighbours[i].db = db.Named(nameOf(i))
		}
	}
	return sys, nil
}

// answer holds the times of a statement. waited lasts from the call until just before the send: the
// wait for a connection, and all work before the send. Both systems measure waited the same way.
type answer struct{ waited, took time.Duration }

// ask runs a statement for the neighbour.
func (n neighbour) ask(ctx context.Context, sql string) (a answer, err error) {
	if n.tenant != "" {
		ctx = tenant.NewContext(ctx, tenant.Identity{Tenant: n.tenant})
	}
	began := time.Now()
	_, err = n.db.Exec(context.WithValue(ctx, sentKey{}, func() { a.waited = time.Since(began) }), sql)
	a.took = time.Since(began)
	return a, err
}

// sentKey is the context key of the function to call just before the send of a statement.
type sentKey struct{}

// stopwatch is the tracer that calls the function under sentKey.
type stopwatch struct{}

func (stopwatch) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	if sent, ok := ctx.Value(sentKey{}).(func()); ok {
		sent()
	}
	return ctx
}

func (stopwatch) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
