package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
)

// The tenants: the large tenant has half of the rows, the small tenants share the rest.
const (
	largeTenant  = "large"
	smallTenants = 49
)

// serverSettings differ from a test's server: a long run needs autovacuum, and a cache that
// holds the rows of a tenant.
var serverSettings = []string{"autovacuum=on", "autovacuum_naptime=5s", "shared_buffers=1GB", "max_wal_size=8GB", "maintenance_work_mem=512MB"}

// world is a database of a size, with an application that uses the database.
type world struct {
	admin *pgx.Conn // not bound by row-level security
	app   *fx.App
}

// newWorld makes a database, starts the application of the subject, which applies the client's
// migrations, and fills the tables.
func newWorld(ctx context.Context, server *devdb.Server, s subject, name string, n int) (w *world, err error) {
	if err := createDatabase(ctx, server, name); err != nil {
		return nil, err
	}
	w = &world{}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close(context.WithoutCancel(ctx)))
		}
	}()
	w.app = fx.New(fx.NopLogger, fxdb.Module, s.module(), fx.Replace(fxdb.Config{
		URL: server.DatabaseURL(devdb.RoleApp, name), MigrateURL: server.DatabaseURL(devdb.RoleOwner, name), Migrate: true,
		PoolMin: 1, PoolMax: 20, NestedAcquire: "off",
	}))
	if err := w.app.Start(ctx); err != nil {
		w.app = nil
		return w, fmt.Errorf("start the application: %w", err)
	}
	if w.admin, err = pgx.Connect(ctx, server.DatabaseURL("postgres", name)); err != nil { //nolint:forbidigo // a fixture's, outside the pool
		return w, err
	}
	return w, w.fill(ctx, s, n)
}

func createDatabase(ctx context.Context, server *devdb.Server, name string) error {
	conn, err := pgx.Connect(ctx, server.URL()) //nolint:forbidigo // as the administrator
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{name}.Sanitize()+" owner "+devdb.RoleOwner)
	return err
}

// fill fills the tables. The role replica switches off triggers and the checks of foreign keys.
func (w *world) fill(ctx context.Context, s subject, n int) error {
	statements := []string{
		"create schema growth",
		fmt.Sprintf(`create function growth.tenant(g bigint) returns text language sql immutable
			return case when g %% 2 = 0 then '%s' else 'small' || (g / 2) %% %d end`, largeTenant, smallTenants),
		`create function growth.entry(g bigint) returns uuid language sql immutable return ('00000000-0000-0000-0000-' || lpad(g::text, 12, '0'))::uuid`,
		"set session_replication_role = replica",
	}
	for _, sql := range append(statements, s.rows()...) {
		if err := w.exec(ctx, sql, n); err != nil {
			return fmt.Errorf("fill: %w", err)
		}
	}
	if err := w.exec(ctx, "reset session_replication_role", n); err != nil {
		return err
	}
	return w.exec(ctx, "vacuum analyze", n)
}

// exec puts n into the text, so that a statement may leave $1 out.
func (w *world) exec(ctx context.Context, sql string, n int) error {
	_, err := w.admin.Exec(ctx, strings.ReplaceAll(sql, "$1", strconv.Itoa(n)))
	return err
}

func (w *world) close(ctx context.Context) error {
	var err error
	if w.app != nil {
		err = w.app.Stop(ctx)
	}
	if w.admin != nil {
		err = errors.Join(err, w.admin.Close(ctx))
	}
	return err
}
