package rls

import "strings"

// key is an index, of a constraint or alone.
type key struct {
	Table   uint32
	Name    string
	Unique  bool
	Primary bool
	// Exclusion says that the index is of an exclusion constraint. Equal are the columns that the
	// constraint compares by =.
	Exclusion bool
	Equal     []int16
	Usable    bool // the index is valid, covers all rows, and is a btree or hash index
	Columns   []int16
	// Leaky are the columns and expressions that the server does not look up under row-level
	// security, each with the operators that are not leakproof.
	Leaky []string
	// Expressions says that a function of an expression is not leakproof, so that no operator
	// makes the server look the expression up.
	Expressions bool
}

// keysSQL finds the functions of an index's expressions in the index's node tree, because
// built-in functions leave no row in pg_depend. "offset 0" makes the planner look up the
// operator classes of the index's columns first, instead of scanning all operator classes
// of the server for each index.
const keysSQL = `
select i.indrelid as table, c.relname::text as name, i.indisunique as unique, i.indisprimary as primary,
	i.indisexclusion as exclusion, array(select (i.indkey::int2[])[k - 1] from pg_constraint e, generate_subscripts(e.conexclop, 1) k
		join pg_operator op on true where e.conindid = i.indexrelid and e.contype = 'x' and op.oid = e.conexclop[k] and op.oprname = '=') as equal,
	i.indisvalid and i.indpred is null and m.amname in ('btree', 'hash') as usable,
	(i.indkey::int2[])[0:i.indnkeyatts - 1] as columns, x.leaks as expressions,
	array(select pg_get_indexdef(i.indexrelid, k + 1, true) || case when (i.indkey::int2[])[k] = 0 and x.leaks then '' else ' (' || o.names || ')' end
		from generate_series(0, i.indnkeyatts - 1) k
		cross join lateral (select a.opcfamily, a.opcintype from pg_opclass a where a.oid = (i.indclass::oid[])[k] offset 0) oc
		cross join lateral (select string_agg(distinct op.oprname, ', ') as names
			from pg_amop ao join pg_operator op on op.oid = ao.amopopr join pg_proc f on f.oid = op.oprcode
			where ao.amopfamily = oc.opcfamily and ao.amoplefttype = oc.opcintype and ao.amoppurpose = 's' and not f.proleakproof
			and (m.amname <> 'btree' or ao.amopstrategy = 3 and ao.amoprighttype = oc.opcintype)
			and not exists (select from pg_amop s join pg_operator op on op.oid = s.amopopr join pg_proc f on f.oid = op.oprcode
				where s.amopfamily = ao.amopfamily and s.amoplefttype = oc.opcintype and s.amoprighttype = oc.opcintype
				and s.amopstrategy = ao.amopstrategy and f.proleakproof)) o -- the column's own type can be looked up, if not another
		where not i.indisexclusion and (o.names is not null or (i.indkey::int2[])[k] = 0 and x.leaks) order by k) as leaky
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_am m on m.oid = c.relam
cross join lateral (select coalesce(i.indexprs::text like '%{COERCEVIAIO %' or exists (select
	from regexp_matches(i.indexprs::text, ':(?:funcid|opfuncid) (\d+)', 'g') e join pg_proc f on f.oid = e[1]::oid where not f.proleakproof), false) as leaks) x
where i.indrelid = any ($1::oid[])
order by 1, 2`

// foreignKey is a foreign key of a table.
type foreignKey struct {
	Table      uint32
	References uint32
	Name       string
	Columns    []int16
	Targets    []int16 // the columns that Columns refer to, in the same order
	OnDelete   string  // a, r, c, n or d, as in pg_constraint
	OnUpdate   string
}

// cascades reports whether the role changes rows of the referring table through the
// referenced table to, which has no policies.
func (k foreignKey) cascades(to *table) bool {
	const acts = "cnd"
	return !to.Secured && (to.CanDelete && strings.Contains(acts, k.OnDelete) || to.CanUpdate && strings.Contains(acts, k.OnUpdate))
}

// pairs reports whether the tenant column of from refers to the tenant column of to.
func (k foreignKey) pairs(from, to *table) bool {
	for i, column := range k.Columns {
		if column == from.AttNum && k.Targets[i] == to.AttNum {
			return true
		}
	}
	return false
}

const foreignKeysSQL = `
select k.conrelid as table, k.confrelid as references, k.conname::text as name, k.conkey::int2[] as columns, k.confkey::int2[] as targets,
	k.confdeltype::text as on_delete, k.confupdtype::text as on_update
from pg_constraint k
where k.contype = 'f' and k.conparentid = 0
order by 1, 3`
