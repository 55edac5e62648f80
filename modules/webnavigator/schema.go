package webnavigator

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
		"web.contents", "web.cache", "web.cache_counters", "web.rate_limits", "web.tenant_requests", "web.site_requests",
		"web.traversals", "web.traversal_nodes", "web.extraction_metrics", "web.node_counts", "web.cache_minutes",
	},
	Views: []string{"web.traversal_stats"},
}

// CheckSchema returns a modules.ErrSchema if a table, the view or a migration is missing, or if
// the pool's role may not use a table or the view. OnStart calls CheckSchema.
func (c *Client) CheckSchema(ctx context.Context) error { return schema.Check(ctx, c.db) }
