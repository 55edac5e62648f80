package orchestrator

import (
	"context"
	"embed"
	"io/fs"

	"github.com/agentagency/onepool/modules/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations returns the schema's goose migrations.
func Migrations() fs.FS { return migrations }

var schema = store.Schema{
	Source: name, Migrations: migrations,
	Tables: []string{
		"orchestrator.tasks", "orchestrator.assignments", "orchestrator.executions",
		"orchestrator.queue_stats", "orchestrator.queue_config", "orchestrator.task_counts",
	},
}

// CheckSchema returns a modules.ErrSchema if a table or a migration is missing, or if the
// pool's role may not use a table. OnStart calls CheckSchema.
func (c *Client) CheckSchema(ctx context.Context) error { return schema.Check(ctx, c.db) }
