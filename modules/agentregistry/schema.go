package agentregistry

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
		"registry.agents", "registry.agent_capabilities", "registry.agent_performance",
		"registry.performance_events", "registry.agent_load", "registry.agent_task_stats", "registry.agent_counts",
	},
	Views: []string{"registry.agent_details", "registry.agent_overview"},
}

// CheckSchema returns a modules.ErrSchema if a table, a view or a migration is missing, or if
// the pool's role may not use a table or a view. OnStart calls CheckSchema.
func (c *Client) CheckSchema(ctx context.Context) error { return schema.Check(ctx, c.db) }
