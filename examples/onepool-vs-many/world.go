package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/agentagency/onepool/examples/internal/measure"
	"github.com/agentagency/onepool/fxdb"
)

// connsEach is the maximum number of connections of each of the many pools.
const connsEach = 10

// work holds the settings of both worlds.
type work struct {
	url     string
	own     bool // each client runs only the statements on the client's tables
	network network
}

// world is a way to give connections to the clients.
type world struct {
	name string
	// open returns a running to close, unless nil, even beside an error.
	open func(ctx context.Context) (*running, error)
}

// running is an open world: the server has answered every client.
type running struct {
	clients []*client
	pools   []*pgxpool.Pool // client i uses pool i % len(pools)
	close   func(context.Context) error
}

// plainPools returns the old world: pools of plain pgxpool, with size connections each.
func (w work) plainPools(pools, size int) world {
	open := func(ctx context.Context) (*running, error) {
		r := &running{}
		r.close = func(context.Context) error {
			for _, p := range r.pools {
				p.Close()
			}
			return nil
		}
		cfg, err := pgxpool.ParseConfig(w.url)
		if err != nil {
			return r, err
		}
		cfg.MaxConns = int32(size)
		if w.network > 0 {
			cfg.ConnConfig.Tracer = w.network
		}
		for range pools {
			pool, err := pgxpool.NewWithConfig(ctx, cfg) //nolint:forbidigo // the world without onepool
			if err != nil {
				return r, err
			}
			r.pools = append(r.pools, pool)
		}
		for i := range clients {
			// A pool that can't connect fails the ping, and not the first operation.
			pool := r.pools[i%pools]
			if err := pool.Ping(ctx); err != nil {
				return r, err
			}
			r.clients = append(r.clients, newClient(pool, i, w.own))
		}
		return r, nil
	}
	name := fmt.Sprintf("%d pools of %d", pools, size)
	if pools == 1 {
		name = fmt.Sprintf("one plain pool of %d", size)
	}
	return world{name, open}
}

// onePool returns the new world: a single pool with the library's defaults.
func (w work) onePool(size int) world {
	open := func(ctx context.Context) (*running, error) {
		var opts []fxdb.Option
		if w.network > 0 {
			opts = append(opts, fxdb.WithTracer(w.network))
		}
		db, err := fxdb.Open(ctx, fxdb.Config{
			URL: w.url, PoolMin: min(fxdb.DefaultPoolMin, size), PoolMax: size, ApplicationName: "onepool",
		}, opts...)
		if err != nil {
			return nil, err
		}
		r := &running{close: db.Close, pools: []*pgxpool.Pool{db.Pool()}}
		for i := range clients {
			client := db.Named(fmt.Sprintf("client-%02d", i))
			if err := client.Ping(ctx); err != nil {
				return r, err
			}
			r.clients = append(r.clients, newClient(client, i, w.own))
		}
		return r, nil
	}
	return world{fmt.Sprintf("one pool of %d", size), open}
}

// warm runs the clients' statements on every open connection.
func (r *running) warm(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(16)
	for p, pool := range r.pools {
		statements := make(map[string]any)
		for i := p; i < len(r.clients); i += len(r.pools) {
			r.clients[i].addTo(statements)
		}
		for _, conn := range pool.AcquireAllIdle(ctx) {
			group.Go(func() error {
				defer conn.Release()
				var b pgx.Batch
				for range 6 { // the server plans a statement anew for the first five executions
					for sql, arg := range statements {
						b.Queue(sql, "tenant-0", arg)
					}
				}
				return conn.SendBatch(ctx, &b).Close()
			})
		}
	}
	return group.Wait()
}

// network is the round trip time of a simulated network. The tracer delays each connect, prepare
// and query, and holds the connection during the delay.
type network time.Duration

func (n network) wait(ctx context.Context) context.Context {
	measure.Wait(ctx, time.Duration(n))
	return ctx
}

func (n network) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return n.wait(n.wait(ctx)) // the start-up and at least one message of authentication
}

func (n network) TracePrepareStart(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	return n.wait(ctx)
}

func (n network) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return n.wait(ctx)
}

func (network) TraceConnectEnd(context.Context, pgx.TraceConnectEndData)            {}
func (network) TracePrepareEnd(context.Context, *pgx.Conn, pgx.TracePrepareEndData) {}
func (network) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)     {}
