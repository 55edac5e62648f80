package knowledge

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/tenant"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations returns the schema's goose migrations.
func Migrations() fs.FS { return migrations }

// schemaVersion is the newest migration, the one that this code needs.
func schemaVersion() (int64, error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil || len(files) == 0 {
		return 0, errors.Join(err, errors.New("no migrations are embedded"))
	}
	return goose.NumericComponent(files[len(files)-1]) // Glob sorts
}

// tables are the relations that CheckSchema looks for.
var tables = []string{
	"knowledge.queries", "knowledge.search_results", "knowledge.responses", "knowledge.provider_health",
	"knowledge.cache", "knowledge.cache_counters", "knowledge.entries", "knowledge.entry_feedback",
}

const unusableSQL = `
select array(
    select r.name from unnest(@tables::text[]) as r(name)
    where to_regclass(r.name) is null
       or exists (select from unnest('{select,insert,update,delete}'::text[]) p where not has_table_privilege(to_regclass(r.name), p))
    order by r.name)::text[] as names`

// CheckSchema returns a modules.ErrSchema when a table or a migration is missing,
// or when the pool's role may not use one of them. It finds out how embeddings
// are stored. OnStart calls it.
func (c *Client) CheckSchema(ctx context.Context) error {
	err := modules.Classify(c.checkSchema(tenant.System(ctx, "schema check")))
	if errors.Is(err, modules.ErrForbidden) {
		err = fmt.Errorf("%w: %w", modules.ErrSchema, err)
	}
	if errors.Is(err, modules.ErrSchema) {
		err = fmt.Errorf("%w; apply the migrations (DB_MIGRATE=true) and grant the pool's role what they made", err)
	}
	return wrap("check the schema", err)
}

func (c *Client) checkSchema(ctx context.Context) error {
	needed, err := schemaVersion()
	if err != nil {
		return err
	}
	unusable, err := value[[]string](ctx, c, unusableSQL, pgx.NamedArgs{"tables": tables})
	if err != nil {
		return err
	}
	if len(unusable) > 0 {
		return fmt.Errorf("%w: missing or not usable: %v", modules.ErrSchema, unusable)
	}
	version, err := value[int64](ctx, c, "select coalesce(max(version_id), 0) from onepool.knowledge_versions where is_applied", nil)
	if err != nil {
		return err
	}
	if version < needed {
		return fmt.Errorf("%w: it is at version %d, needed is %d", modules.ErrSchema, version, needed)
	}
	_, err = c.lookUpStorage(ctx)
	return err
}
