package main

import (
	"context"
	"fmt"
	"io"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
	"github.com/agentagency/onepool/tenant"
)

// show goes the whole way with sample rows: a dry run, the move, the move again, and back.
func show(ctx context.Context, out io.Writer) error {
	server, err := devdb.Start(ctx)
	if err != nil {
		return err
	}
	defer server.Stop(context.WithoutCancel(ctx)) //nolint:errcheck // the process ends
	if err := createDatabase(ctx, server); err != nil {
		return err
	}
	url := server.DatabaseURL(devdb.RoleOwner, "agency")
	if err := sample(ctx, url); err != nil {
		return err
	}
	for _, step := range []struct {
		name         string
		dryRun, back bool
	}{{"dry run", true, false}, {"move", false, false}, {"again", false, false}, {"back", false, true}, {"dry run after the way back", true, false}} {
		fmt.Fprintf(out, "\n%s\n", step.name)
		m := mover{tenant: "default-tenant", batch: 5000, dryRun: step.dryRun}
		if err := m.run(ctx, out, url, step.back); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

func createDatabase(ctx context.Context, server *devdb.Server) error {
	admin, err := fxdb.Open(ctx, fxdb.Config{URL: server.URL(), PoolMin: 1, PoolMax: 1})
	if err != nil {
		return err
	}
	defer admin.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is held
	_, err = admin.Exec(tenant.System(ctx, "a database has no tenant"), "create database agency owner "+devdb.RoleOwner)
	return err
}

// sample makes the new schemas, and old tables with rows.
func sample(ctx context.Context, url string) error {
	db, err := fxdb.Open(ctx, fxdb.Config{URL: url, PoolMax: 2, Migrate: true},
		fxdb.WithMigrations("agentregistry", agentregistry.Migrations()), fxdb.WithMigrations("knowledge", knowledge.Migrations()),
		fxdb.WithMigrations("webnavigator", webnavigator.Migrations()), fxdb.WithMigrations("verification", verification.Migrations()),
		fxdb.WithMigrations("orchestrator", orchestrator.Migrations()))
	if err != nil {
		return err
	}
	defer db.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is held
	for _, file := range []string{"sql/old_tables.sql", "sql/owners.sql", "sql/sample.sql"} {
		if err := execFile(tenant.System(ctx, "the old tables have no tenants"), db, file); err != nil {
			return err
		}
	}
	return nil
}
