package rls

import "github.com/jackc/pgx/v5"

// sideEffect is a rule or a trigger that a write of the role runs. A rule runs as the owner of
// its table or view; the trigger's function is SECURITY DEFINER. The writer needs no grant on
// the tables that either changes.
type sideEffect struct {
	Relation      uint32
	Schema        string
	Name          string
	Kind          string // rule or trigger
	Called        string
	Function      uint32
	Owner         string
	OwnerOID      uint32
	OwnerBypasses bool
	Relations     []uint32
	Calls         []uint32

	function *function // for a rule, a function that stands for the rule
}

func (w *sideEffect) relation() string { return w.Schema + "." + w.Name }
func (w *sideEffect) object() string   { return w.relation() + "." + w.Called }
func (w *sideEffect) sql() string      { return pgx.Identifier{w.Schema, w.Name}.Sanitize() }

const effectsSQL = reach + `
select c.oid as relation, n.nspname::text as schema, c.relname::text as name, x.kind, x.called, x.function,
	o.rolname::text as owner, o.oid as owner_oid, o.rolsuper or o.rolbypassrls as owner_bypasses, x.relations, x.calls
from (
	select w.ev_class as relation, 'rule' as kind, w.rulename::text as called, 0::oid as function,
		array(select d.refobjid from pg_depend d where d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
			and d.refclassid = 'pg_class'::regclass and d.refobjid <> w.ev_class) as relations,
		array(select d.refobjid from pg_depend d where d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
			and d.refclassid = 'pg_proc'::regclass) as calls
	from pg_rewrite w where w.ev_type <> '1' -- ON SELECT is the view itself
	union all
	select g.tgrelid, 'trigger', g.tgname::text, g.tgfoid, '{}', '{}' from pg_trigger g join pg_proc f on f.oid = g.tgfoid
	where not g.tgisinternal and g.tgparentid = 0 and f.prosecdef) x
join pg_class c on c.oid = x.relation
join pg_namespace n on n.oid = c.relnamespace
join pg_roles o on o.oid = c.relowner
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
	and exists (select from reach r where has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE') or has_table_privilege(r.oid, c.oid, 'DELETE'))
order by 2, 3, 4, 5`

// traceEffects finds the tables that the side effects read or write.
func (c *catalog) traceEffects(n namespace) {
	for _, w := range c.effects {
		if w.function = c.functionX[w.Function]; w.function == nil {
			w.function = &function{Owner: w.Owner, OwnerOID: w.OwnerOID, OwnerBypasses: w.OwnerBypasses, Standard: true, Relations: w.Relations, Calls: w.Calls}
			w.function.accesses = c.accessesOf(n, w.function)
		}
	}
}
