package rls

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/tenant"
)

// function is a function or procedure of a user.
type function struct {
	OID           uint32
	Schema        string
	Name          string
	Arguments     string
	Volatility    string // i, s or v, as in pg_proc
	Definer       bool
	Leakproof     bool
	Trigger       bool // only a trigger can call the function
	PathFixed     bool // the function sets a search_path
	Path          string
	Language      string
	Standard      bool     // the body is SQL-standard: pg_depend knows its objects
	Relations     []uint32 // of a SQL-standard body
	Calls         []uint32
	Owner         string
	OwnerOID      uint32
	OwnerBypasses bool
	MayOwn        bool // the role is a member of the owner
	CanExecute    bool
	Presets       bool // the function sets tenant.TenantSetting for its own run
	Source        string

	accesses []access

	text sqlText
	// The function itself, or a function that the body calls:
	reads map[string]bool // reads these settings
	asks  bool            // reads the name of the role
	blind bool            // reads a setting whose name the text does not show
}

func (f *function) object() string { return f.Schema + "." + f.Name }
func (f *function) sql() string {
	return pgx.Identifier{f.Schema, f.Name}.Sanitize() + "(" + f.Arguments + ")"
}

// readsAny reports whether the function's result depends on a setting or role, as far as the
// text shows.
func (f *function) readsAny() bool { return len(f.reads) > 0 || f.asks || f.blind }

func functionsSQL(version int) string {
	body := "pg_get_function_sqlbody(p.oid)"
	if version < 140000 { // functions had none
		body = "null"
	}
	return fmt.Sprintf(functionsFormat, body)
}

const functionsFormat = reach + `
select p.oid, n.nspname::text as schema, p.proname::text as name, pg_get_function_identity_arguments(p.oid) as arguments,
	p.provolatile::text as volatility, p.prosecdef as definer, p.proleakproof as leakproof, p.prorettype in ('trigger'::regtype, 'event_trigger'::regtype) as trigger,
	exists (select from unnest(p.proconfig) c where c like 'search\_path=%%') as path_fixed,
	coalesce((select substr(c, 13) from unnest(p.proconfig) c where c like 'search\_path=%%'), '') as path,
	l.lanname::text as language, l.lanname = 'sql' and p.prosrc = '' as standard,
	array(select d.refobjid from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.refclassid = 'pg_class'::regclass) as relations,
	array(select d.refobjid from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.refclassid = 'pg_proc'::regclass) as calls,
	o.rolname::text as owner, o.oid as owner_oid, o.rolsuper or o.rolbypassrls as owner_bypasses, pg_has_role(o.oid, 'MEMBER') as may_own,
	exists (select from reach r where has_function_privilege(r.oid, p.oid, 'EXECUTE')
		or exists (select from pg_aggregate a where p.oid in (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggmtransfn, a.aggmfinalfn)
			and has_function_privilege(r.oid, a.aggfnoid, 'EXECUTE'))) as can_execute,
	coalesce(nullif(p.prosrc, ''), %s, '') as source,
	exists (select from unnest(p.proconfig) c where lower(split_part(c, '=', 1)) = '` + tenant.TenantSetting + `') as presets
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_roles o on o.oid = p.proowner
join pg_language l on l.oid = p.prolang
where p.prokind in ('f', 'p') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
	and not exists (select from pg_depend e where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype = 'e')
order by 2, 3, 4`

// traceFunctions finds the settings that every function reads, itself or through the
// functions that the body calls. pg_depend does not know these calls: the names decide.
func (c *catalog) traceFunctions() {
	named := make(map[string][]*function)
	for _, f := range c.functions {
		named[lowerASCII(f.Name)] = append(named[lowerASCII(f.Name)], f)
		f.reads, f.asks, f.blind = make(map[string]bool), f.text.asksForRole(), f.text.hidesReads()
		for _, r := range f.text.reads {
			f.reads[r.name] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for _, f := range c.functions {
			for _, call := range f.text.calls {
				for _, g := range named[call.name] {
					for name := range g.reads {
						changed = changed || !f.reads[name]
						f.reads[name] = true
					}
					changed = changed || g.asks && !f.asks
					f.asks = f.asks || g.asks
					changed = changed || g.blind && !f.blind
					f.blind = f.blind || g.blind
				}
			}
		}
	}
}

// functionsOf are the functions that the policy calls, directly or through other functions.
func (c *catalog) functionsOf(p *rowPolicy) []*function {
	var out []*function
	add := func(f *function) {
		if f != nil && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	for _, oid := range slices.Concat(p.Functions, p.Operators) {
		add(c.functionX[oid])
	}
	return c.withCalled(out)
}

// withCalled adds the functions that the functions call, directly or through others.
func (c *catalog) withCalled(out []*function) []*function {
	for i := 0; i < len(out); i++ {
		for _, call := range out[i].text.calls {
			for _, f := range c.functions {
				if lowerASCII(f.Name) == call.name && !slices.Contains(out, f) {
					out = append(out, f)
				}
			}
		}
	}
	return out
}

// reachThrough marks the tables that views and definer functions lead the role to, with or
// without a grant on the table.
func (c *catalog) reachThrough() {
	if c.session.Super {
		return // a superuser reaches every table
	}
	seen := make(map[uint32]bool)
	var follow func(w *view, stored bool)
	follow = func(w *view, stored bool) {
		if seen[w.OID] {
			return
		}
		seen[w.OID] = true
		// The owner of a materialized view has read the stored rows, through any view between.
		stored = stored || w.Kind == "m"
		for _, t := range w.reads {
			t.through = t.through || stored
		}
		for _, ref := range w.Refs {
			if t := c.byOID[ref]; t != nil && (stored || !w.Invoker) {
				t.through = true
			}
			if next := c.viewX[ref]; next != nil {
				follow(next, stored)
			}
		}
	}
	// Materialized views first: a view below may be visible through a materialized view alone.
	for _, kind := range []string{"m", "v"} {
		for _, w := range c.views {
			if w.Readable && w.Kind == kind {
				follow(w, false)
			}
		}
	}
	for _, f := range c.functions {
		if f.Trigger {
			continue // only a write calls a trigger's function
		}
		for _, accesses := range f.accesses {
			accesses.table.through = true
		}
	}
	for _, w := range c.effects {
		for _, accesses := range w.function.accesses {
			accesses.table.through = true
		}
	}
}

// settingsOf are the settings that an expression of the policy reads, directly or through
// functions.
func (c *catalog) settingsOf(p *rowPolicy, t sqlText) map[string]bool {
	out := make(map[string]bool)
	for _, r := range t.reads {
		out[r.name] = true
	}
	for _, oid := range p.Functions {
		f := c.functionX[oid]
		if f != nil && slices.ContainsFunc(t.calls, func(call call) bool { return call.name == lowerASCII(f.Name) }) {
			for name := range f.reads {
				out[name] = true
			}
		}
	}
	return out
}

func (c *catalog) readsTenant(p *rowPolicy) bool {
	return c.settingsOf(p, p.using)[tenant.TenantSetting] || c.settingsOf(p, p.check)[tenant.TenantSetting]
}

// view is a view or a materialized view.
type view struct {
	OID           uint32
	Schema        string
	Name          string
	Kind          string // v or m, as in pg_class
	Invoker       bool
	Owner         string
	OwnerOID      uint32
	OwnerBypasses bool
	Readable      bool
	Refs          []uint32
	Calls         []uint32

	reads []*table // of the functions that the view calls, as the view's owner
}

func (w *view) object() string { return w.Schema + "." + w.Name }
func (w *view) sql() string    { return pgx.Identifier{w.Schema, w.Name}.Sanitize() }

const viewsSQL = reach + `
select v.oid, n.nspname::text as schema, v.relname::text as name, v.relkind::text as kind,
	coalesce((select x.option_value::bool from pg_options_to_table(v.reloptions) x where x.option_name = 'security_invoker'), false) as invoker,
	o.rolname::text as owner, o.oid as owner_oid, o.rolsuper or o.rolbypassrls as owner_bypasses,
	exists (select from reach r where has_any_column_privilege(r.oid, v.oid, 'SELECT, INSERT, UPDATE')
		or has_table_privilege(r.oid, v.oid, 'DELETE')) and exists (select from reach r where has_schema_privilege(r.oid, n.oid, 'USAGE')) as readable,
	array(select distinct d.refobjid from pg_rewrite w join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
		and d.refclassid = 'pg_class'::regclass and d.refobjid <> v.oid where w.ev_class = v.oid) as refs,
	array(select distinct d.refobjid from pg_rewrite w join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
		and d.refclassid = 'pg_proc'::regclass where w.ev_class = v.oid) as calls
from pg_class v
join pg_namespace n on n.oid = v.relnamespace
join pg_roles o on o.oid = v.relowner
where v.relkind in ('v', 'm') and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
order by 2, 3`

type columnInfo struct {
	Table  uint32
	Name   string
	Num    int16
	Type   string   // the base type of a domain
	Labels []string // of an enum
}

// cast is the type to cast to. A cast to character would keep one letter.
func (c columnInfo) cast() string {
	if c.Type == "character" {
		return "bpchar"
	}
	return c.Type
}

const columnsSQL = `
select a.attrelid as table, a.attname::text as name, a.attnum as num, format_type(coalesce(nullif(y.typbasetype, 0), y.oid), null) as type,
	array(select e.enumlabel::text from pg_enum e where e.enumtypid = coalesce(nullif(y.typbasetype, 0), y.oid) order by e.enumsortorder) as labels
from pg_attribute a join pg_type y on y.oid = a.atttypid
where a.attrelid = any ($1::oid[]) and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum`

// attachment is a trigger, a rule, a publication or a sequence of a table.
type attachment struct {
	Table    uint32
	Kind     string // trigger, rule, publication (-all or -schema), sequence-select or sequence-update
	Name     string
	Function uint32   // of a trigger
	Rows     []string // the transition tables of a trigger
}

const attachmentsSQL = reach + `
select g.tgrelid as table, 'trigger' as kind, g.tgname::text as name, g.tgfoid as function,
	array_remove(array[g.tgoldtable::text, g.tgnewtable::text], null) as rows
	from pg_trigger g where not g.tgisinternal and g.tgparentid = 0 and g.tgrelid = any ($1::oid[])
union all
select w.ev_class, 'rule', w.rulename::text, 0::oid, '{}' from pg_rewrite w where w.ev_class = any ($1::oid[])
union all
select c.oid, case when q.puballtables then 'publication-all' when c.relispartition or exists (select from pg_publication_rel r where r.prpubid = q.oid and r.prrelid = c.oid)
		then 'publication' else 'publication-schema' end, p.pubname::text, 0::oid, '{}' from pg_publication_tables p join pg_publication q on q.pubname = p.pubname
	join pg_namespace n on n.nspname = p.schemaname join pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
	where c.oid = any ($1::oid[])
union all
select s.of, 'sequence-' || lower(w.privilege), s.oid::regclass::text, 0::oid, '{}' from (
		select d.refobjid as of, d.objid as oid from pg_depend d
		where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') and d.refobjid = any ($1::oid[])
		union select f.adrelid, d.refobjid from pg_attrdef f join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = f.oid
		where d.refclassid = 'pg_class'::regclass and f.adrelid = any ($1::oid[])) s
	join pg_class c on c.oid = s.oid and c.relkind = 'S'
	cross join unnest(array['SELECT', 'UPDATE']) w (privilege)
	where exists (select from reach r where case when c.relkind = 'S' then has_sequence_privilege(r.oid, c.oid, w.privilege) end) -- never asked of others
order by 1, 2, 3`
