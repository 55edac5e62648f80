package rls

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/tenant"
)

// scope chooses the tables whose rows belong to tenants, and the children of these tables.
func (c *catalog) scope(declared bool) {
	for _, t := range c.tables {
		t.belongs = t.AttNum > 0 || slices.ContainsFunc(t.policies, c.readsTenant) || slices.ContainsFunc(t.policies, c.readsUser)
		switch {
		case t.Declared >= 0:
		case declared:
			// The partitions of a declared table are part of the table, and its children by
			// inheritance hold rows of the table.
			parent := c.byOID[t.Parent]
			for parent != nil && parent.Declared < 0 {
				parent = c.byOID[parent.Parent]
			}
			if parent == nil {
				continue
			}
			t.Declared = parent.Declared
		case !t.belongs || !t.reachable() && !t.through:
			continue
		}
		t.scoped = true
		c.scoped = append(c.scoped, t)
	}
	if !declared {
		c.findChildren()
	}
}

// findChildren finds the tables that refer to a tenants' table, or to a child of one, and
// that have no tenant column. The rows of a child belong to the tenant of the parent's row.
func (c *catalog) findChildren() {
	adopt := func(child, parent *table) bool {
		if child == nil || parent == nil || child == parent || child.belongs || child.refersTo != nil || !parent.belongs && parent.refersTo == nil {
			return false
		}
		child.refersTo = parent
		return true
	}
	for found := true; found; {
		found = false
		for _, k := range c.foreign {
			found = adopt(c.byOID[k.Table], c.byOID[k.References]) || found
		}
		for _, t := range c.tables {
			if p := c.byOID[t.Parent]; p != nil && p.refersTo != nil {
				found = adopt(t, p.refersTo) || found
			}
		}
	}
}

// readsUser reports whether a permissive policy reads the user or the session of an identity.
func (c *catalog) readsUser(p *rowPolicy) bool {
	for _, text := range []sqlText{p.using, p.check} {
		settings := c.settingsOf(p, text)
		if p.Permissive && (settings[tenant.UserSetting] || settings[tenant.SessionSetting]) {
			return true
		}
	}
	return false
}

// inferColumns finds the tenant columns that have another name than the option Column.
// A policy that compares one column with the tenant names the column of its own table, and
// of every other table that has a column of the same name and type.
func (c *catalog) inferColumns(ctx context.Context, tx pgx.Tx) error {
	var tables []uint32
	var columns []string
	for _, t := range c.tables {
		if t.AttNum > 0 {
			continue
		}
		if name := c.comparedColumn(t); name != "" {
			tables, columns = append(tables, t.OID), append(columns, name)
		}
	}
	if len(tables) == 0 {
		return nil
	}
	found, err := values[inferredColumn](ctx, tx, "tenant columns", inferredSQL, tables, columns)
	for _, f := range found {
		if t := c.byOID[f.Table]; t != nil && t.AttNum == 0 {
			t.tenantColumn = f.tenantColumn
		}
	}
	return err
}

type inferredColumn struct {
	Table uint32
	tenantColumn
}

// inferredSQL spreads no name of a column that is a unique key alone: such a table has one
// row for each tenant, and the name of its key, mostly id, says nothing about other tables.
const inferredSQL = `
with named as (
	select a.attrelid, a.attnum, a.attname, coalesce(nullif(y.typbasetype, 0), y.oid) as type,
		exists (select from pg_index i where i.indrelid = a.attrelid and i.indisunique and i.indnkeyatts = 1 and i.indkey[0] = a.attnum) as alone
	from unnest($1::oid[], $2::text[]) k (rel, col)
	join pg_attribute a on a.attrelid = k.rel and a.attname = k.col and a.attnum > 0 and not a.attisdropped
	join pg_type y on y.oid = a.atttypid)
select a.attrelid as table, a.attname::text as column, ` + columnFields + `
from pg_attribute a
join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p', 'f')
join pg_type y on y.oid = a.atttypid
left join pg_attrdef f on f.adrelid = a.attrelid and f.adnum = a.attnum
where a.attnum > 0 and not a.attisdropped and exists (select from named m where m.attrelid = a.attrelid and m.attnum = a.attnum
	or not m.alone and m.attname = a.attname and m.type = coalesce(nullif(y.typbasetype, 0), y.oid))
order by not exists (select from named m where m.attrelid = a.attrelid), a.attnum`

// comparedColumn is the column that the table's policies compare with the tenant, and empty
// if the policies compare several columns or none.
func (c *catalog) comparedColumn(t *table) (name string) {
	for _, p := range t.policies {
		for _, text := range []struct {
			sql  string
			text sqlText
		}{{p.Using, p.using}, {p.Check, p.check}} {
			if !c.settingsOf(p, text.text)[tenant.TenantSetting] {
				continue
			}
			for _, column := range p.ColumnNames {
				switch {
				case !c.comparesColumn(p, lowerASCII(text.sql), column):
				case name != "" && name != column:
					return ""
				default:
					name = column
				}
			}
		}
	}
	return name
}

// comparesColumn reports whether the lower-case expression of the policy compares the column
// with the tenant: by the setting, or by a function that reads the setting.
func (c *catalog) comparesColumn(p *rowPolicy, sql, column string) bool {
	sources := []string{`(?:nullif|coalesce)?[( ]*(?:select)?[( ]*(?:nullif|coalesce)?[( ]*current_setting\('` + regexp.QuoteMeta(tenant.TenantSetting) + `'`}
	for _, oid := range p.Functions {
		if f := c.functionX[oid]; f != nil && f.reads[tenant.TenantSetting] {
			sources = append(sources, `(?:[a-z0-9_"]+\.)?"?`+regexp.QuoteMeta(lowerASCII(f.Name))+`"?\(`)
		}
	}
	re, err := regexp.Compile(`(?:^|[^a-z0-9_$.])"?` + regexp.QuoteMeta(lowerASCII(column)) + `"?\)?(?:::[a-z ]+)? = [( ]*(?:select)?[( ]*(?:` + strings.Join(sources, "|") + `)`)
	return err == nil && re.MatchString(sql)
}
