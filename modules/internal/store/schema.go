package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"

	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/tenant"
)

// Schema is the part of the database that a client needs.
type Schema struct {
	Source     string   // of fxdb.Migrations
	Migrations fs.FS    // goose files in migrations/
	Tables     []string // the pool's role reads and writes the tables
	Views      []string // the pool's role reads the views
	// More is the last check, and may be nil.
	More func(context.Context) error
}

const unusableSQL = `
select array(
    select r.name
    from (select unnest(@tables::text[]), '{select,insert,update,delete}'::text[]
          union all select unnest(@views::text[]), '{select}'::text[]) as r(name, privileges)
    where to_regclass(r.name) is null
       or exists (select from unnest(r.privileges) p where not has_table_privilege(to_regclass(r.name), p))
    order by r.name)::text[]`

// Check returns a [modules.ErrSchema] when a table, a view or a migration is missing, or when the
// pool's role lacks a right on a table or a view. Check needs no tenant.
func (s Schema) Check(ctx context.Context, db *DB) error {
	err := modules.Classify(s.check(tenant.System(ctx, "schema check"), db))
	if errors.Is(err, modules.ErrForbidden) {
		err = fmt.Errorf("%w: %w", modules.ErrSchema, err)
	}
	if errors.Is(err, modules.ErrSchema) {
		err = fmt.Errorf("%w; apply the migrations (DB_MIGRATE=true) and grant the pool's role what they made", err)
	}
	if err != nil {
		return fmt.Errorf("%s: check the schema: %w", s.Source, err)
	}
	return nil
}

func (s Schema) check(ctx context.Context, db *DB) error {
	needed, err := s.newest()
	if err != nil {
		return err
	}
	unusable, err := Value[[]string](ctx, db, unusableSQL, pgx.NamedArgs{"tables": s.Tables, "views": s.Views})
	if err != nil {
		return err
	}
	if len(unusable) > 0 {
		return fmt.Errorf("%w: missing or not usable: %v", modules.ErrSchema, unusable)
	}
	versions := pgx.Identifier{"onepool", s.Source + "_versions"}.Sanitize()
	version, err := Value[int64](ctx, db, "select coalesce(max(version_id), 0) from "+versions+" where is_applied", nil)
	if err != nil {
		return err
	}
	if version < needed {
		return fmt.Errorf("%w: it is at version %d, needed is %d", modules.ErrSchema, version, needed)
	}
	if s.More != nil {
		return s.More(ctx)
	}
	return nil
}

// newest returns the version of the last migration, which the code needs.
func (s Schema) newest() (int64, error) {
	files, err := fs.Glob(s.Migrations, "migrations/*.sql")
	if err != nil || len(files) == 0 {
		return 0, errors.Join(err, errors.New("no migrations are embedded"))
	}
	return goose.NumericComponent(files[len(files)-1]) // Glob sorts
}
