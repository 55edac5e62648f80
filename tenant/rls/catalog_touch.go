package rls

import (
	"regexp"
	"slices"
	"strings"
)

// touch is a table that a definer function works on, and the role in whose name
// it does.
type touch struct {
	table    *table
	owner    string
	bypasses bool // no policy of the table binds the role
}

// named is a name in a body, with its schema where it stands before it.
type named struct{ schema, name string }

var (
	// A chain of names with dots between them.
	chain = regexp.MustCompile(`("([^"]|"")*"|[\pL_][\pL\pN_$]*)(\s*\.\s*("([^"]|"")*"|[\pL_][\pL\pN_$]*))*`)
	link  = regexp.MustCompile(`"([^"]|"")*"|[^\s."]+`)
)

// namesIn are the names in lower-case code. Of a chain the last two count: what
// stands before a column is named elsewhere as well.
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

// namespace is what names may mean.
type namespace struct {
	tables    map[named]*table
	views     map[named]*view
	functions map[named][]*function
	byName    map[string][]string // the schemas that have something of the name
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

// meant are the full names that the name may stand for in the function. Without a
// search_path of its own the caller's decides, so that it may be any.
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

// path is the function's own search_path. It is not fixed where the body changes
// it.
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

// mentions are the names in the function's body. Other languages, and statements
// that are built, have them in literals.
func (f *function) mentions() []named {
	if f.Language != "sql" && f.Language != "plpgsql" || f.text.names("execute") {
		return namesIn(lowerASCII(f.Source))
	}
	return namesIn(f.text.code)
}

// touches are the tables that a definer function works on: those that its body
// names, those behind views, and those of functions that it calls. A body of the
// SQL standard is known to the catalogs, any other is read.
func (c *catalog) touches(n namespace, f *function) []touch {
	var out []touch
	seen := make(map[[2]any]bool) // a function or view, and in whose name
	var through func(f *function, as *function)
	var look func(w *view, as *function)
	relation := func(t *table, w *view, as *function) {
		switch {
		case t != nil:
			out = append(out, touch{t, as.Owner, bypasses(as.OwnerBypasses, as.OwnerOID, t)})
		case w != nil:
			look(w, as)
		}
	}
	look = func(w *view, as *function) {
		if seen[[2]any{w, as.OwnerOID}] {
			return
		}
		seen[[2]any{w, as.OwnerOID}] = true
		// A view that asks as its reader does so behind another one, too. What a
		// materialized view holds no policy binds any more.
		reader, behind := as, as
		switch {
		case w.Kind == "m":
			reader = &function{Owner: w.Owner, OwnerOID: w.OwnerOID, OwnerBypasses: true}
			behind = reader
		case !w.Invoker:
			reader = &function{Owner: w.Owner, OwnerOID: w.OwnerOID, OwnerBypasses: w.OwnerBypasses}
		}
		for _, ref := range w.Refs {
			relation(c.byOID[ref], nil, reader)
			relation(nil, c.viewX[ref], behind)
		}
	}
	call := func(g *function, as *function) {
		switch {
		case g == nil || g.Trigger:
		case g.Definer:
			through(g, g)
		default:
			through(g, as)
		}
	}
	through = func(f *function, as *function) {
		if seen[[2]any{f, as.OwnerOID}] {
			return
		}
		seen[[2]any{f, as.OwnerOID}] = true
		for _, oid := range f.Relations {
			relation(c.byOID[oid], c.viewX[oid], as)
		}
		for _, oid := range f.Calls {
			call(c.functionX[oid], as)
		}
		if f.Standard {
			return
		}
		for _, k := range f.mentions() {
			for _, full := range n.meant(k, f) {
				relation(n.tables[full], n.views[full], as)
				for _, g := range n.functions[full] {
					call(g, as)
				}
			}
		}
	}
	through(f, f)
	return out
}

// traceTables finds what every trigger's function works on, every definer
// function that the role may call, and what views call.
func (c *catalog) traceTables() {
	for _, f := range c.functions {
		if f.Definer && f.CanExecute || f.Trigger {
			f.touched = c.touches(c.names, f)
		}
	}
	for _, w := range c.views {
		for _, at := range c.touches(c.names, &function{Owner: w.Owner, OwnerOID: w.OwnerOID, OwnerBypasses: w.OwnerBypasses, Standard: true, Calls: w.Calls}) {
			w.reads = append(w.reads, at.table)
		}
	}
}
