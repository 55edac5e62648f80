package testkit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/migrate"
)

// catalogTable is a table of the catalog.
type catalogTable struct {
	OID      uint32
	Name     string
	Quoted   string
	Secured  bool
	Readable bool
	Writable bool
	Column   *string // the tenant column, quoted
}

// catalogKey is a foreign key. The columns are quoted.
type catalogKey struct {
	Child, Parent uint32
	Columns, Keys []string
}

// isolatedTables reads the catalog as the server's administrator, whom no policy binds.
func isolatedTables(ctx context.Context, admin *pgx.Conn, column, role string) (tables []isolatedTable, err error) {
	rows, err := admin.Query(ctx, `
		select c.oid, n.nspname || '.' || c.relname as name, format('%I.%I', n.nspname, c.relname) as quoted, c.relrowsecurity as secured,
			has_schema_privilege($2, n.oid, 'USAGE') and has_any_column_privilege($2, c.oid, 'SELECT') as readable,
			has_schema_privilege($2, n.oid, 'USAGE') and (has_any_column_privilege($2, c.oid, 'INSERT, UPDATE') or has_table_privilege($2, c.oid, 'DELETE')) as writable,
			(select format('%I', a.attname) from pg_catalog.pg_attribute a where a.attrelid = c.oid and a.attname = $1 and not a.attisdropped) as column
		from pg_catalog.pg_class c
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where c.relkind in ('r', 'p') and not c.relispartition and n.nspname <> 'information_schema' and n.nspname not like 'pg\_%'
			and n.nspname <> $3
			and not exists (select from pg_catalog.pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
		order by 2`, column, role, migrate.Schema)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[catalogTable])
	if err != nil {
		return nil, err
	}
	if rows, err = admin.Query(ctx, `
		select k.conrelid as child, k.confrelid as parent,
			array(select format('%I', a.attname) from unnest(k.conkey) with ordinality c (num, n) join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = c.num order by c.n) as columns,
			array(select format('%I', a.attname) from unnest(k.confkey) with ordinality c (num, n) join pg_catalog.pg_attribute a on a.attrelid = k.confrelid and a.attnum = c.num order by c.n) as keys
		from pg_catalog.pg_constraint k where k.contype = 'f' and k.conparentid = 0 order by k.conrelid, k.conname`); err != nil {
		return nil, err
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByName[catalogKey])
	if err != nil {
		return nil, err
	}
	known := tenantsBelow(all, keys)
	for _, c := range all {
		table, ok := known[c.OID]
		if !c.Readable && !c.Writable && (!ok || table.parent != "") {
			continue // no tenant reaches the rows
		}
		if !ok {
			table = isolatedTable{tenant: "'" + everyTenant + "'::text", common: true}
		}
		table.name, table.quoted, table.secured, table.writable = c.Name, c.Quoted, c.Secured, c.Writable
		if table.rows, err = table.countByTenant(ctx, admin, ""); err != nil {
			return nil, err
		}
		tables = append(tables, table)
	}
	return tables, nil
}

// tenantTables are the tables with the column tenant_id.
func tenantTables(ctx context.Context, admin *pgx.Conn) ([]isolatedTable, error) {
	tables, err := isolatedTables(ctx, admin, tenantColumn, admin.Config().User)
	return slices.DeleteFunc(tables, func(table isolatedTable) bool { return table.common || table.parent != "" }), err
}

// tenantsBelow finds the tables with the tenant column, and the children by foreign keys.
func tenantsBelow(all []catalogTable, keys []catalogKey) map[uint32]isolatedTable {
	known, quoted := make(map[uint32]isolatedTable), make(map[uint32]string)
	for _, c := range all {
		if quoted[c.OID] = c.Quoted; c.Column != nil {
			known[c.OID] = isolatedTable{tenant: "t." + *c.Column + "::text", columns: []string{*c.Column}}
		}
	}
	for found := true; found; {
		found = false
		for _, k := range keys {
			parent, ok := known[k.Parent]
			if _, done := known[k.Child]; done || !ok || quoted[k.Child] == "" {
				continue
			}
			var joined []string
			for i, column := range k.Columns {
				joined = append(joined, fmt.Sprintf("p.%s = t.%s", k.Keys[i], column))
			}
			// The parent's expression names the parent's row t.
			tenant := fmt.Sprintf("(select %s from (select p.* from %s p where %s) t)", parent.tenant, quoted[k.Parent], strings.Join(joined, " and "))
			known[k.Child] = isolatedTable{tenant: tenant, columns: k.Columns, parent: quoted[k.Parent]}
			found = true
		}
	}
	return known
}
