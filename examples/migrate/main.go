package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"
	"golang.org/x/sync/errgroup"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/tenant"
)

const (
	sharedMax   = 20
	callsEach   = 25 // calls of each client, more than any pool has connections
	application = "agency"
)

// step is a deployment: moved is the number of clients on the shared pool.
type step struct {
	what  string
	moved int
}

// apart, as the value of moved, is the old way without a shared pool.
const apart = -1

var steps = []step{
	{"five pools, each opened by its client", apart},
	{"one fxdb.Module, all in DB_DEDICATED", 0},
	{"verification moves", 1},
	{"orchestrator moves", 2},
	{"orchestrator goes back", 1},
	{"orchestrator moves again", 2},
	{"agentregistry moves", 3},
	{"knowledge moves", 4},
	{"webnavigator moves", 5},
}

// dedicated returns DB_DEDICATED at a step, and the maximum number of connections of all pools that
// have clients.
func (s step) dedicated(clients []client) (members []string, most int) {
	for _, c := range clients[max(s.moved, 0):] {
		members = append(members, fmt.Sprintf("%s=%d", c.name, c.conns))
		most += c.conns
	}
	if s.moved > 0 {
		most += sharedMax
	}
	if s.moved == apart {
		members = nil
	}
	return members, most
}

func main() {
	counts, err := migrate(context.Background(), steps)
	if err == nil {
		err = show(os.Stdout, steps, counts)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func show(out io.Writer, steps []step, counts []int) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "connections\tstep\tDB_DEDICATED\n")
	for i, s := range steps {
		members, _ := s.dedicated(newClients())
		fmt.Fprintf(t, "%d\t%s\t%s\n", counts[i], s.what, strings.Join(members, ","))
	}
	return t.Flush()
}

// migrate runs the steps on the same database, and returns the number of the application's
// connections at each step.
func migrate(ctx context.Context, steps []step) (counts []int, err error) {
	server, err := devdb.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Stop(ctx)) }()
	admin, err := fxdb.Open(ctx, fxdb.Config{URL: server.URL()})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, admin.Close(ctx)) }()
	if _, err := admin.Exec(ctx, "create database app owner "+devdb.RoleOwner); err != nil {
		return nil, err
	}
	// A pool outside the application holds the calls and counts the connections.
	outside, err := fxdb.Open(ctx, fxdb.Config{URL: server.DatabaseURL("postgres", "app")})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, outside.Close(ctx)) }()

	cfg := fxdb.Config{
		URL: server.DatabaseURL(devdb.RoleApp, "app"), MigrateURL: server.DatabaseURL(devdb.RoleOwner, "app"), Migrate: true,
		ApplicationName: application, PoolMax: sharedMax,
	}
	for _, s := range steps {
		n, err := deploy(ctx, outside, s, cfg)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.what, err)
		}
		counts = append(counts, n)
	}
	return counts, nil
}

// deploy runs the application of a step, and returns the number of the application's connections
// while all clients are as busy as possible.
func deploy(ctx context.Context, outside *fxdb.DB, s step, cfg fxdb.Config) (conns int, err error) {
	clients := newClients()
	var apps []*fx.App
	var most int
	cfg.Dedicated, most = s.dedicated(clients)
	all := []fx.Option{fxdb.Module, fx.NopLogger}
	for _, c := range clients {
		if s.moved == apart {
			cfg.PoolMax = c.conns
			apps = append(apps, fx.New(fx.Options(all...), fx.Replace(cfg), c.module))
		}
	}
	if s.moved != apart {
		for _, c := range clients {
			all = append(all, c.module)
		}
		apps = append(apps, fx.New(fx.Options(all...), fx.Replace(cfg)))
	}
	for _, app := range apps {
		if err := app.Start(ctx); err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, app.Stop(ctx)) }()
	}
	return busiest(ctx, outside, clients, most)
}

// busiest holds all clients' calls at locked tables until the number of waiting connections reaches
// most, and returns the number of connections.
func busiest(ctx context.Context, outside *fxdb.DB, clients []client, most int) (conns int, err error) {
	calls, acme := errgroup.WithContext(tenant.NewContext(ctx, tenant.Identity{Tenant: "acme"}))
	err = outside.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		for _, c := range clients {
			if _, err := tx.Exec(ctx, "lock table "+c.table+" in access exclusive mode"); err != nil {
				return err
			}
			for range callsEach {
				calls.Go(func() error { return c.call(acme) })
			}
		}
		conns, err = count(ctx, tx, most)
		return err
	}) // the end of the transaction releases the calls
	return conns, errors.Join(err, calls.Wait())
}

const countSQL = `
select count(*), count(*) filter (where wait_event_type = 'Lock')
from pg_stat_activity where split_part(application_name, '/', 1) = $1 and application_name <> $1 || '/health'`

// count returns the number of the application's connections when the number of connections that
// wait for a lock has reached most.
func count(ctx context.Context, tx pgx.Tx, most int) (conns int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		// A transaction keeps the first snapshot of pg_stat_activity.
		if _, err := tx.Exec(ctx, "select pg_stat_clear_snapshot()"); err != nil {
			return 0, err
		}
		var waiting int
		if err := tx.QueryRow(ctx, countSQL, application).Scan(&conns, &waiting); err != nil {
			return 0, err
		}
		if waiting >= most {
			return conns, nil
		}
		select {
		case <-ctx.Done():
			return conns, fmt.Errorf("%d connections wait, not %d: %w", waiting, most, ctx.Err())
		case <-tick.C:
		}
	}
}
