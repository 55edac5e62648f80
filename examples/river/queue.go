// Package queue is the recipe for River and similar job queues on the shared pool.
//
//	go test .
//
// River's tables belong to no tenant. River's client works on the raw pool. The raw pool carries no
// tenant, and refuses a request's context with [fxdb.ErrTenantNotCarried]. The example therefore
// enqueues a job with [Orders.Take] or [Orders.Again], and the job's arguments name the tenant. If
// River receives a request's context in a call that you can't change,
// fxdb.RawPool(fxdb.RawPoolWithoutTenant) lets the call run.
package queue

import (
	"context"
	"embed"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Module provides [Orders] as a client of the pool, and adds the migrations of the client.
var Module = fx.Options(
	fxdb.Migrations("orders", migrations),
	fxdb.Client("orders", New, fxdb.RequireTenant()),
)

// Ship is a job of one tenant.
type Ship struct {
	Tenant string `json:"tenant"`
	Order  string `json:"order"`
}

// Kind names the job to River.
func (Ship) Kind() string { return "ship" }

// Orders takes orders in requests, and ships them in jobs.
type Orders struct {
	db    *fxdb.DB
	river *river.Client[pgx.Tx]
}

// New makes the client: db runs the client's own statements, and the raw pool runs River's
// statements. fx stops River before the pool drains.
func New(lc fx.Lifecycle, db *fxdb.DB, pool *pgxpool.Pool) (*Orders, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &shipper{db: db})
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Workers: workers,
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 4}}, // each worker may hold a connection
	})
	if err != nil {
		return nil, err
	}
	lc.Append(fx.Hook{
		OnStart: func(ctx context.Context) error { return client.Start(context.WithoutCancel(ctx)) },
		OnStop:  client.Stop,
	})
	return &Orders{db, client}, nil
}

// Take stores an order of the tenant in ctx and enqueues the order's job: both, or none. The
// transaction carries the tenant, and the order belongs to the tenant.
func (o *Orders) Take(ctx context.Context, order string) error {
	id, _ := tenant.FromContext(ctx)
	return o.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "insert into orders.orders (name) values ($1)", order); err != nil {
			return err
		}
		_, err := o.river.InsertTx(ctx, tx, Ship{Tenant: id.Tenant, Order: order}, nil)
		return err
	})
}

// Again enqueues a job alone, with [tenant.System] in the context: River's tables belong to no
// tenant. Again returns [fxdb.ErrTenantRequired] if ctx has no identity.
func (o *Orders) Again(ctx context.Context, order string) error {
	id, ok := tenant.FromContext(ctx)
	if !ok {
		return fxdb.ErrTenantRequired
	}
	_, err := o.river.Insert(tenant.System(ctx, "river's own tables"), Ship{Tenant: id.Tenant, Order: order}, nil)
	return err
}

type shipper struct {
	river.WorkerDefaults[Ship]
	db *fxdb.DB
}

// Work runs as the tenant of the job. Work holds a connection only during the statement.
func (s *shipper) Work(ctx context.Context, job *river.Job[Ship]) error {
	ctx = tenant.NewContext(ctx, tenant.Identity{Tenant: job.Args.Tenant})
	tag, err := s.db.Exec(ctx, "update orders.orders set shipped = shipped + 1 where name = $1", job.Args.Order)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("tenant %s has no order %q", job.Args.Tenant, job.Args.Order)
	}
	return err
}

// Migrate applies River's own migrations before the start. The pool connects as the tables' owner.
func Migrate(ctx context.Context, owner *pgxpool.Pool) error {
	migrator, err := rivermigrate.New(riverpgxv5.New(owner), nil)
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}
