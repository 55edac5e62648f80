package agentregistry

import (
	"context"
	"errors"
	"fmt"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/tenant"
)

// schemaVersion is the newest migration this code needs.
const schemaVersion = 1

// The objects that CheckSchema looks for.
var relations = []string{
	"registry.agents", "registry.agent_capabilities", "registry.agent_performance",
	"registry.performance_events", "registry.agent_load", "registry.agent_overview",
}

// CheckSchema returns a modules.ErrSchema when a table, the view or a migration
// is missing, or when the pool's role may not read one of them.
func (c *Client) CheckSchema(ctx context.Context) error {
	ctx = tenant.System(ctx, "schema check")
	var missing []string
	var version int64
	err := c.db.QueryRow(ctx, `
		select array(select r from unnest($1::text[]) r
		             where to_regclass(r) is null or not has_table_privilege(to_regclass(r), 'select'))::text[]`, relations).Scan(&missing)
	if err == nil && len(missing) == 0 {
		err = c.db.QueryRow(ctx, "select coalesce(max(version_id), 0) from onepool.agentregistry_versions where is_applied").Scan(&version)
	}
	switch {
	case err == nil && len(missing) > 0:
		err = fmt.Errorf("%w: missing or not readable: %v", modules.ErrSchema, missing)
	case err == nil && version < schemaVersion:
		err = fmt.Errorf("%w: version %d, needed is %d", modules.ErrSchema, version, schemaVersion)
	case err != nil:
		err = modules.Classify(err)
		if errors.Is(err, modules.ErrForbidden) {
			err = fmt.Errorf("%w: %w", modules.ErrSchema, err)
		}
	}
	if err != nil {
		return fmt.Errorf("agentregistry: check the schema: %w; apply the migrations (DB_MIGRATE=true) and grant the pool's role what they made", err)
	}
	return nil
}
