package knowledge

import (
	"context"
	"embed"
	"io/fs"

	"go.uber.org/zap"

	"github.com/agentagency/onepool/modules/internal/store"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations returns the schema's goose migrations.
func Migrations() fs.FS { return migrations }

// CheckSchema returns a modules.ErrSchema if a table or a migration is missing, or if the
// pool's role may not use a table. CheckSchema looks up how the database stores embeddings.
// OnStart calls CheckSchema.
func (c *Client) CheckSchema(ctx context.Context) error {
	return store.Schema{
		Source: name, Migrations: migrations,
		Tables: []string{
			"knowledge.queries", "knowledge.search_results", "knowledge.responses", "knowledge.provider_health",
			"knowledge.cache", "knowledge.cache_counters", "knowledge.entries", "knowledge.entry_counts", "knowledge.entry_feedback",
		},
		Views: []string{"knowledge.entry_search"},
		More: func(ctx context.Context) error {
			_, err := c.lookUpStorage(ctx)
			return err
		},
	}.Check(ctx, c.db)
}

// checkAtStart is CheckSchema, and a warning if the database stores embeddings in arrays.
func (c *Client) checkAtStart(ctx context.Context) error {
	if err := c.CheckSchema(ctx); err != nil {
		return err
	}
	if s := c.storage.Load(); s != nil && s.vectors == "" && c.log != nil {
		c.log.Warn("knowledge has no pgvector: a search by meaning compares all entries, and refuses too many",
			zap.Int("max_candidates", MaxCandidates))
	}
	return nil
}
