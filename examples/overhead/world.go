package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/examples/internal/measure"
	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/tenant/rls"
)

// rows are the rows of each tenant.
const rows = 1000

// connections are the connections of a pool: no goroutine waits for a connection.
const connections = 8

// world is a server, and both pools on the server.
type world struct {
	server *measure.Server
	plain  *pgxpool.Pool
	shared *fxdb.DB
}

func newWorld(ctx context.Context) (w *world, err error) {
	w = &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close(context.WithoutCancel(ctx)))
		}
	}()
	if w.server, err = measure.StartServer(ctx); err != nil {
		return w, err
	}
	if err := w.server.Setup(ctx, tables()); err != nil {
		return w, err
	}
	cfg, err := pgxpool.ParseConfig(w.server.URL())
	if err != nil {
		return w, err
	}
	cfg.MaxConns = connections
	if w.plain, err = pgxpool.NewWithConfig(ctx, cfg); err != nil { //nolint:forbidigo // the pool to compare with
		return w, err
	}
	w.shared, err = fxdb.Open(ctx, fxdb.Config{URL: w.server.URL(), PoolMax: connections})
	return w, err
}

// tables makes two tables with the same rows of ten tenants. Only the second table has policies.
func tables() string {
	sql := ""
	for _, name := range []string{"plain", "shared"} {
		sql += fmt.Sprintf(`
			create schema %[1]s;
			create table %[1]s.notes (tenant_id text not null, id int not null, body text not null, reads int not null default 0, primary key (tenant_id, id));
			insert into %[1]s.notes select 't' || t, n, 'body ' || n from generate_series(1, 10) t, generate_series(1, %[2]d) n;
			analyze %[1]s.notes;`, name, rows)
	}
	return sql + rls.Enable(rls.Table{Name: "shared.notes", Column: "tenant_id"})
}

func (w *world) close(ctx context.Context) error {
	var err error
	if w.plain != nil {
		w.plain.Close()
	}
	if w.shared != nil {
		err = w.shared.Close(ctx)
	}
	if w.server != nil {
		err = errors.Join(err, w.server.Stop(ctx))
	}
	return err
}

// comparisons have the ratios of docs/benchmarks.md.
func (w *world) comparisons() []comparison {
	const name = "t7"
	as := func(ctx context.Context) context.Context {
		return tenant.NewContext(ctx, tenant.Identity{Tenant: name})
	}
	plainRead := func(ctx context.Context, id int) (err error) {
		var body string
		return w.plain.QueryRow(ctx, "select body from plain.notes where tenant_id = $1 and id = $2", name, id).Scan(&body)
	}
	tenantRead := func(ctx context.Context, id int) (err error) {
		var body string
		return w.shared.QueryRow(as(ctx), "select body from shared.notes where id = $1", id).Scan(&body)
	}
	plainWrite := func(ctx context.Context, id int) error {
		return pgx.BeginFunc(ctx, w.plain, func(tx pgx.Tx) error {
			var reads int
			if err := tx.QueryRow(ctx, "select reads from plain.notes where tenant_id = $1 and id = $2 for update", name, id).Scan(&reads); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "update plain.notes set reads = $3 where tenant_id = $1 and id = $2", name, id, reads+1)
			return err
		})
	}
	tenantWrite := func(ctx context.Context, id int) error {
		ctx = as(ctx)
		return w.shared.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			var reads int
			if err := tx.QueryRow(ctx, "select reads from shared.notes where id = $1 for update", id).Scan(&reads); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "update shared.notes set reads = $2 where id = $1", id, reads+1)
			return err
		})
	}
	return []comparison{
		{name: "point read", goroutines: 1, times: 100, documented: 1.17, plain: side{work: plainRead}, tenant: side{work: tenantRead}},
		{name: "point read on 8 goroutines", goroutines: connections, times: 25, documented: 1.37, plain: side{work: plainRead}, tenant: side{work: tenantRead}},
		{name: "transaction of a read and a write", goroutines: 1, times: 40, documented: 1, plain: side{work: plainWrite}, tenant: side{work: tenantWrite}},
	}
}
