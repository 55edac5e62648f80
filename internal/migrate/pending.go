package migrate

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/pressly/goose/v3"
)

// Pending are the migrations of a source that a database lacks.
type Pending struct {
	Source string
	First  string // file of the lowest missing version
	Count  int
}

// FindPending returns the sources with missing migrations, in the order of sources. FindPending
// leaves out a source if conn's role may not read the source's version table.
func FindPending(ctx context.Context, conn *pgx.Conn, sources []Source) (pending []Pending, err error) {
	applied, unknown, err := appliedVersions(ctx, conn, sources)
	if err != nil {
		return nil, err
	}
	for _, s := range sources {
		if unknown[s.Name] {
			continue
		}
		p, err := s.pending(applied[s.Name])
		if err != nil {
			return nil, err
		}
		if p.Count > 0 {
			pending = append(pending, p)
		}
	}
	return pending, nil
}

// pending compares the files of the source with the applied versions.
func (s Source) pending(applied map[int64]bool) (p Pending, err error) {
	p.Source = s.Name
	files, err := fs.Glob(s.FS, "*.sql")
	if err != nil {
		return p, fmt.Errorf("migrations %q: %w", s.Name, err)
	}
	var lowest int64
	for _, file := range files {
		version, err := goose.NumericComponent(file)
		if err != nil || applied[version] { // Check has refused a file whose name has no number
			continue
		}
		if p.Count++; p.Count == 1 || version < lowest {
			p.First, lowest = file, version
		}
	}
	return p, nil
}

// appliedVersions reads the version tables of all sources. unknown are the sources whose table
// the role of conn may not read.
func appliedVersions(ctx context.Context, conn *pgx.Conn, sources []Source) (applied map[string]map[int64]bool, unknown map[string]bool, err error) {
	applied, unknown = make(map[string]map[int64]bool), make(map[string]bool)
	tables := make([]string, len(sources))
	for i, s := range sources {
		tables[i] = strings.TrimPrefix(s.VersionTable(), Schema+".")
	}
	rows, err := conn.Query(ctx, `select t.position - 1, has_schema_privilege(c.relnamespace, 'usage') and has_table_privilege(c.oid, 'select')
		from unnest($2::text[]) with ordinality t (name, position)
		join pg_catalog.pg_class c on c.relname = t.name and c.relnamespace = to_regnamespace($1)`, Schema, tables)
	if err != nil {
		return nil, nil, err
	}
	var position int
	var readable bool
	var reads []string
	if _, err = pgx.ForEachRow(rows, []any{&position, &readable}, func() error {
		s := sources[position]
		if unknown[s.Name] = !readable; readable { // Check allows no quote in a name
			reads = append(reads, fmt.Sprintf("select '%s', version_id from %s", s.Name, s.VersionTable()))
		}
		return nil
	}); err != nil || len(reads) == 0 {
		return applied, unknown, err
	}
	if rows, err = conn.Query(ctx, strings.Join(reads, " union all ")); err != nil {
		return nil, nil, err
	}
	var source string
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&source, &version}, func() error {
		if applied[source] == nil {
			applied[source] = make(map[int64]bool)
		}
		applied[source][version] = true
		return nil
	})
	return applied, unknown, err
}
