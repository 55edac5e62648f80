package rls

import (
	"regexp"
	"slices"
	"strings"
)

// access is the access of a function or view to a table, as a role.
type access struct {
	table    *table
	owner    string
	bypasses bool // no policy of the table limits the role to a tenant
}

// named is a name in a body. schema is empty if the body does not qualify the name.
type named struct{ schema, name string }

var (
	// A chain of names with dots between them.
	chain = regexp.MustCompile(`("([^"]|"")*"|[\pL_][\pL\pN_$]*)(\s*\.\s*("([^"]|"")*"|[\pL_][\pL\pN_$]*))*`)
	link  = regexp.MustCompile(`"([^"]|"")*"|[^\s."]+`)
)

// namesIn are the names in lower-case code. Of a chain of names the last two count.
func namesIn(code string) []named {
	var out []named
	for _, c := range chain.FindAllString(code, -1) {
		links := link.FindAllString(c, -1)
		for i, l := range links {
			links[i] = strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(l, `"`), `"`), `""`, `"`)
		}
		if len(links) == 1 {
			out = append(out, named{name: links[0]})
		}
		for i := 1; i < len(links); i++ {
			out = append(out, named{links[i-1], links[i]})
		}
	}
	return out
}

// namespace finds the objects of a name.
type namespace struct {
	tables    map[named]*table
	views     map[named]*view
	functions map[named][]*function
	byName    map[string][]string // the schemas that hold an object of the name
}

func (c *catalog) namespace() namespace {
	n := namespace{make(map[named]*table), make(map[named]*view), make(map[named][]*function), make(map[string][]string)}
	add := func(schema, name string) named {
		k := named{lowerASCII(schema), lowerASCII(name)}
		if !slices.Contains(n.byName[k.name], k.schema) {
			n.byName[k.name] = append(n.byName[k.name], k.schema)
		}
		return k
	}
	for _, t := range c.tables {
		n.tables[add(t.Schema, t.Name)] = t
	}
	for _, w := range c.views {
		n.views[add(w.Schema, w.Name)] = w
	}
	for _, f := range c.functions {
		k := add(f.Schema, f.Name)
		n.functions[k] = append(n.functions[k], f)
	}
	return n
}

// meant are the full names that the name may stand for in the function. The caller's
// search_path decides if the function sets none, so every schema counts.
func (n namespace) meant(k named, f *function) []named {
	if k.schema != "" {
		return []named{k}
	}
	path, fixed := f.path()
	if !fixed {
		path = n.byName[k.name]
	}
	var out []named
	for _, schema := range path {
		if schema = lowerASCII(schema); slices.Contains(n.byName[k.name], schema) {
			out = append(out, named{schema, k.name})
			if fixed {
				break
			}
		}
	}
	return out
}

// path is the function's own search_path. fixed is false if the function has none or if the
// body changes search_path.
func (f *function) path() (schemas []string, fixed bool) {
	if !f.PathFixed || f.text.names("search_path") || strings.Contains(f.Source, "'search_path'") {
		return nil, false
	}
	for part := range strings.SplitSeq(f.Path, ",") {
		part = strings.Trim(strings.TrimSpace(part), `"`)
		if part == "$user" {
			part = f.Owner
		}
		schemas = append(schemas, part)
	}
	return schemas, true
}

// mentions are the names in the function's body. Built statements and other languages have
// names in literals too.
func (f *function) mentions() []named {
	if f.Language != "sql" && f.Language != "plpgsql" || f.text.names("execute") {
		return namesIn(lowerASCII(f.Source))
	}
	return namesIn(f.text.code)
}

// accessesOf are the tables that a function reads or writes: the tables that its body names,
// the tables that views read, and the tables of the functions that the body calls. pg_depend
// knows the objects of a SQL-standard body; the verifier reads the text of any other body.
func (c *catalog) accessesOf(n namespace, f *function) []access {
	t := &accessTrace{catalog: c, names: n, seen: make(map[[2]any]bool)}
	t.function(f, f)
	return t.found
}

// accessTrace follows functions and views to the tables. as is the function whose owner has the
// rights at a step.
type accessTrace struct {
	*catalog
	names namespace
	found []access
	seen  map[[2]any]bool // a function or view, and the role
}

// first reports whether the trace meets a function or a view as a role for the first time.
func (t *accessTrace) first(object any, role uint32) bool {
	key := [2]any{object, role}
	if t.seen[key] {
		return false
	}
	t.seen[key] = true
	return true
}

// relation follows a table or a view. One of both, or both, may be nil.
func (t *accessTrace) relation(of *table, w *view, as *function) {
	switch {
	case of != nil:
		t.found = append(t.found, access{of, as.Owner, t.bypasses(as.OwnerBypasses, as.OwnerOID, of)})
	case w != nil:
		t.view(w, as)
	}
}

// view follows the relations of a view. A security_invoker view that another view names reads as
// the reader too. No policy filters the rows that a materialized view stores.
func (t *accessTrace) view(w *view, as *function) {
	if !t.first(w, as.OwnerOID) {
		return
	}
	ofTables, ofViews := as, as
	switch {
	case w.Kind == "m":
		ofTables = &function{Owner: w.Owner, OwnerOID: w.OwnerOID, OwnerBypasses: true}
		ofViews = ofTables
	case !w.Invoker:
		ofTables = &function{Owner: w.Owner, OwnerOID: w.OwnerOID, OwnerBypasses: w.OwnerBypasses}
	}
	for _, ref := range w.Refs {
		t.relation(t.byOID[ref], nil, ofTables)
		t.relation(nil, t.viewX[ref], ofViews)
	}
}

// call follows a call of g. Triggers are no calls.
func (t *accessTrace) call(g *function, as *function) {
	switch {
	case g == nil || g.Trigger:
	case g.Definer:
		t.function(g, g)
	default:
		t.function(g, as)
	}
}

// function follows the relations and the calls of a function.
func (t *accessTrace) function(f *function, as *function) {
	if !t.first(f, as.OwnerOID) {
		return
	}
	for _, oid := range f.Relations {
		t.relation(t.byOID[oid], t.viewX[oid], as)
	}
	for _, oid := range f.Calls {
		t.call(t.functionX[oid], as)
	}
	if f.Standard {
		return
	}
	for _, k := range f.mentions() {
		for _, full := range t.names.meant(k, f) {
			t.relation(t.names.tables[full], t.names.views[full], as)
			for _, g := range t.names.functions[full] {
				t.call(g, as)
			}
		}
	}
}

// traceTables finds the tables of every trigger's function, of every definer function that
// the role may call, and of the functions that views call.
func (c *catalog) traceTables() {
	for _, f := range c.functions {
		if f.Definer && f.CanExecute || f.Trigger {
			f.accesses = c.accessesOf(c.names, f)
		}
	}
	for _, w := range c.views {
		for _, at := range c.accessesOf(c.names, &function{Owner: w.Owner, OwnerOID: w.OwnerOID, OwnerBypasses: w.OwnerBypasses, Standard: true, Calls: w.Calls}) {
			w.reads = append(w.reads, at.table)
		}
	}
}

// bypasses reports whether no policy of the table limits the owner of a view or function to
// a tenant: none binds the owner, or an open policy is for a role that the owner is a member of.
func (c *catalog) bypasses(ownerBypasses bool, owner uint32, t *table) bool {
	return ownerBypasses || !t.Secured || owner == t.OwnerOID && !t.Forced ||
		slices.ContainsFunc(t.policies, func(p *rowPolicy) bool {
			return p.Permissive && !p.MayApply && p.binds(owner) && c.opensTo(p, owner)
		})
}

// opensTo reports whether the policy shows the owner rows of every tenant, or lets the owner
// write them.
func (c *catalog) opensTo(p *rowPolicy, owner uint32) bool {
	restrictive := p.restrictiveOf(func(r *rowPolicy) bool { return r.binds(owner) })
	if slices.ContainsFunc(restrictive, func(r *rowPolicy) bool { return c.restricts(r, p) }) {
		return false
	}
	return p.Using != "" && !c.compares(p, p.using) || p.Check != "" && !c.compares(p, p.check)
}
