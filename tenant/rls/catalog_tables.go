package rls

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// table is a table, a partitioned table or a foreign table.
type table struct {
	OID          uint32
	Schema       string
	Name         string
	Kind         string // r, p or f, as in pg_class
	Secured      bool
	Forced       bool
	Partition    bool
	Parent       uint32
	Owner        string
	OwnerOID     uint32
	Owned        bool // by the role itself
	MayOwn       bool // the role is a member of the owner
	OwnsSchema   bool
	CreateIn     bool // the role may create in its schema
	Public       []string
	CanSelect    bool
	CanInsert    bool
	CanUpdate    bool
	CanDelete    bool
	CanTruncate  bool
	CanReference bool
	CanTrigger   bool
	Reads        bool // may select as itself, without SET ROLE
	Nameable     bool // the role may use the schema
	Declared     int  // the position among the declared tables, -1: none
	tenantColumn

	policies []*rowPolicy
	through  bool   // a view or function leads the role to the table, in another role's name
	belongs  bool   // the rows belong to tenants
	scoped   bool   // belongs, and the role reaches the table
	refersTo *table // the parent, if only a foreign key identifies the tenant
}

// tenantColumn is the column that holds the tenant of a row.
type tenantColumn struct {
	Column    string
	AttNum    int16  // 0: the table has no such column
	Type      string // the base type of a domain
	Domain    bool
	NotNull   bool
	Loose     bool // the collation takes different texts for equal
	Default   string
	MaxLength int // of a varchar or char, in characters; 0: no limit
}

const columnFields = `coalesce(a.attnum, 0)::int2 as att_num,
	coalesce(format_type(coalesce(nullif(y.typbasetype, 0), y.oid), null), '') as type, coalesce(y.typbasetype, 0) <> 0 as domain, coalesce(a.attnotnull, false) as not_null,
	exists (select from pg_collation k where k.oid = a.attcollation and not k.collisdeterministic) as loose,
	coalesce(pg_get_expr(f.adbin, f.adrelid), '') as default,
	case when coalesce(nullif(y.typbasetype, 0), y.oid) in ('varchar'::regtype, 'bpchar'::regtype)
		then greatest(coalesce(nullif(a.atttypmod, -1), y.typtypmod) - 4, 0) else 0 end as max_length`

// reachable reports whether the role may read or write rows of the table.
func (t *table) reachable() bool {
	return t.CanSelect || t.CanInsert || t.CanUpdate || t.CanDelete || t.CanTruncate
}

func (t *table) object() string { return t.Schema + "." + t.Name }
func (t *table) sql() string    { return pgx.Identifier{t.Schema, t.Name}.Sanitize() }

// kind is the type that a policy casts the setting to.
func (t *table) kind() string {
	switch t.Type {
	case "uuid":
		return UUID
	case "bigint", "integer", "smallint":
		return BigInt
	}
	return Text
}

// usualType reports whether Enable knows the column's type.
func (t *table) usualType() bool {
	return t.kind() != Text || t.Type == "text" || t.lengthLimited()
}

func (t *table) lengthLimited() bool { return t.Type == "character varying" || t.Type == "character" }

// enable is the DDL that isolates the table.
func (t *table) enable() string {
	if t.AttNum == 0 {
		return fmt.Sprintf("alter table %s enable row level security;\nalter table %[1]s force row level security;", t.sql())
	}
	var lines []string
	for line := range strings.Lines(Enable(Table{Name: t.sql(), Column: t.Column, Type: t.kind()})) {
		if !strings.HasPrefix(line, "--") {
			lines = append(lines, line)
		}
	}
	return strings.TrimSuffix(strings.Join(lines, ""), "\n")
}

// startOver is the DDL that replaces every permissive policy by the policies of Enable.
func (t *table) startOver() string {
	var out strings.Builder
	for _, p := range t.policies {
		if p.Permissive && p.MayApply {
			fmt.Fprintf(&out, "drop policy %s on %s;\n", quote(p.Name), t.sql())
		}
	}
	return out.String() + t.enable()
}

const tablesSQL = reach + `
select c.oid, n.nspname::text as schema, c.relname::text as name, c.relkind::text as kind,
	c.relrowsecurity as secured, c.relforcerowsecurity as forced, c.relispartition as partition,
	coalesce((select i.inhparent from pg_inherits i where i.inhrelid = c.oid limit 1), 0)::oid as parent,
	o.rolname::text as owner, o.oid as owner_oid,
	c.relowner = me.oid as owned, pg_has_role(c.relowner, 'MEMBER') as may_own,
	pg_has_role(n.nspowner, 'MEMBER') as owns_schema, p.create_in,
	array(select g.privilege_type::text from aclexplode(c.relacl) g where g.grantee = 0
		union select g.privilege_type || ' of a column' from pg_attribute a, aclexplode(a.attacl) g where a.attrelid = c.oid and g.grantee = 0 order by 1) as public,
	p.can_select, p.can_insert, p.can_update, p.can_delete, p.can_truncate, p.can_reference, p.can_trigger,
	has_any_column_privilege(c.oid, 'SELECT') and has_schema_privilege(n.oid, 'USAGE') as reads,
	coalesce(d.place, 0)::int - 1 as declared, coalesce(d.col, $1) as column, p.nameable,
	` + columnFields + `
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
join pg_roles o on o.oid = c.relowner
join pg_roles me on me.rolname = current_user
left join unnest($2::text[], $3::text[], $4::text[]) with ordinality d (nsp, rel, col, place)
	on d.rel = c.relname and case when d.nsp = '' then pg_table_is_visible(c.oid) else d.nsp = n.nspname end
left join pg_attribute a on a.attrelid = c.oid and a.attname = coalesce(d.col, $1) and a.attnum > 0 and not a.attisdropped
left join pg_type y on y.oid = a.atttypid
left join pg_attrdef f on f.adrelid = a.attrelid and f.adnum = a.attnum
cross join lateral (select
	bool_or(has_any_column_privilege(r.oid, c.oid, 'SELECT')) as can_select,
	bool_or(has_any_column_privilege(r.oid, c.oid, 'INSERT')) as can_insert,
	bool_or(has_any_column_privilege(r.oid, c.oid, 'UPDATE')) as can_update,
	bool_or(has_table_privilege(r.oid, c.oid, 'DELETE')) as can_delete,
	bool_or(has_table_privilege(r.oid, c.oid, 'TRUNCATE')) as can_truncate,
	bool_or(has_any_column_privilege(r.oid, c.oid, 'REFERENCES')) as can_reference,
	bool_or(has_table_privilege(r.oid, c.oid, 'TRIGGER')) as can_trigger,
	bool_or(has_schema_privilege(r.oid, n.oid, 'CREATE')) as create_in,
	bool_or(has_schema_privilege(r.oid, n.oid, 'USAGE')) as nameable
	from reach r) p
where c.relkind in ('r', 'p', 'f') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
	and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
order by 2, 3`

func readTables(ctx context.Context, tx pgx.Tx, column string, declared []declaration) ([]*table, error) {
	schemas, names, columns := []string{}, []string{}, []string{}
	for _, d := range declared {
		schemas, names, columns = append(schemas, d.schema), append(names, d.table), append(columns, d.column)
	}
	tables, err := collect[table](ctx, tx, "tables", tablesSQL, column, schemas, names, columns)
	for _, t := range tables {
		if !t.Nameable { // a grant on the table alone opens nothing
			t.CanSelect, t.CanInsert, t.CanUpdate, t.CanDelete, t.CanTruncate, t.CanReference, t.CanTrigger = false, false, false, false, false, false, false
		}
	}
	// The query returns a table twice if two declarations name the table.
	tables = slices.CompactFunc(tables, func(a, b *table) bool { return a.OID == b.OID })
	return tables, err
}

// rowPolicy is a row-level security policy.
type rowPolicy struct {
	OID         uint32
	Table       uint32
	Name        string
	Command     string // r, a, w, d or *, as in pg_policy
	Permissive  bool
	Public      bool     // the policy is for all roles
	Applies     bool     // the policy binds the role as the role is
	MayApply    bool     // the policy binds a role that the role may become
	Owners      []uint32 // owners of relations and functions that the policy binds by name
	Using       string
	Check       string
	Columns     []int16 // the policy depends on these columns of its own table
	ColumnNames []string
	Tables      []uint32 // other relations that the policy reads
	Functions   []uint32
	Operators   []uint32 // the functions behind its operators

	table        *table
	using, check sqlText
}

func (p *rowPolicy) object() string { return p.table.object() + "." + p.Name }

// binds reports whether the policy applies to the owner of a view or function.
func (p *rowPolicy) binds(owner uint32) bool { return p.Public || slices.Contains(p.Owners, owner) }

// restrictive are the restrictive policies that the server ANDs with p for the role.
func (p *rowPolicy) restrictive() []*rowPolicy {
	return p.restrictiveOf(func(r *rowPolicy) bool { return r.Applies })
}

func (p *rowPolicy) restrictiveOf(applies func(*rowPolicy) bool) (out []*rowPolicy) {
	for _, r := range p.table.policies {
		if !r.Permissive && applies(r) && (r.Command == "*" || r.Command == p.Command) {
			out = append(out, r)
		}
	}
	return out
}

// checked is the expression that new rows must meet: USING, if the policy has no WITH CHECK.
func (p *rowPolicy) checked() (sql string, text sqlText) {
	if p.Check == "" {
		return p.Using, p.using
	}
	return p.Check, p.check
}

const policiesSQL = `
with owners as (
	select relowner as oid from pg_class where relkind in ('r', 'p', 'f', 'v', 'm') union select proowner from pg_proc)
select p.oid, p.polrelid as table, p.polname::text as name, p.polcmd::text as command, p.polpermissive as permissive, 0 = any (p.polroles) as public,
	0 = any (p.polroles) or exists (select from unnest(p.polroles) r where r <> 0 and pg_has_role(r, 'USAGE')) as applies,
	0 = any (p.polroles) or exists (select from unnest(p.polroles) r where r <> 0 and pg_has_role(r, 'MEMBER')) as may_apply,
	array(select o.oid from owners o where 0 <> all (p.polroles) and exists (select from unnest(p.polroles) r where r <> 0 and pg_has_role(o.oid, r, 'USAGE'))) as owners,
	coalesce(pg_get_expr(p.polqual, p.polrelid), '') as using, coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '') as check,
	array(select distinct d.refobjsubid::int2 from pg_depend d where d.classid = 'pg_policy'::regclass and d.objid = p.oid
		and d.refclassid = 'pg_class'::regclass and d.refobjid = p.polrelid) as columns,
	array(select distinct a.attname::text from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
		where d.classid = 'pg_policy'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass and d.refobjid = p.polrelid and d.refobjsubid > 0) as column_names,
	array(select distinct d.refobjid from pg_depend d where d.classid = 'pg_policy'::regclass and d.objid = p.oid
		and d.refclassid = 'pg_class'::regclass and d.refobjid <> p.polrelid) as tables,
	array(select distinct d.refobjid from pg_depend d where d.classid = 'pg_policy'::regclass and d.objid = p.oid
		and d.refclassid = 'pg_proc'::regclass) as functions,
	array(select distinct o.oprcode::oid from pg_depend d join pg_operator o on o.oid = d.refobjid where d.classid = 'pg_policy'::regclass
		and d.objid = p.oid and d.refclassid = 'pg_operator'::regclass) as operators
from pg_policy p
order by p.polrelid, p.polname`
