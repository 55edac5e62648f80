package rls

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agentagency/onepool/tenant"
)

// checkWays looks at what writing to something else sets off on tenants' tables.
func (v *verifier) checkWays() {
	if v.session.bypasses() {
		return
	}
	for _, w := range v.ways {
		at, found := w.does.worst()
		if t := v.byOID[w.Relation]; !found || !at.bypasses || t != nil && t.scoped {
			continue // a tenants' table's own are looked at with it
		}
		if w.Kind == "rule" {
			v.add("rule-owner", w.object(), fmt.Sprintf("drop rule %s on %s;", quote(w.Called), w.sql()),
				"Whoever writes to it has the rule work on %s as %s, whom no policy binds.", at.table.object(), at.owner)
		} else {
			v.add("trigger-definer", w.object(), fmt.Sprintf("alter function %s security invoker;", w.does.sql()),
				"Whoever writes to it has %s work on %s as %s, whom no policy binds.", w.does.object(), at.table.object(), at.owner)
		}
	}
}

// checkTrigger looks at a trigger of a tenants' table.
func (v *verifier) checkTrigger(t *table, name string, f *function) {
	object := t.object() + "." + name
	if at, found := f.worst(); f.Definer && (found && at.bypasses || bypasses(f.OwnerBypasses, f.OwnerOID, t)) {
		v.add("trigger-definer", object, fmt.Sprintf("alter function %s security invoker;", f.sql()), "Every write runs %s as %s, whom no policy binds.", f.object(), f.Owner)
	}
	if f.MayOwn && !t.MayOwn {
		v.ownedFunction(f, "every write to "+t.object())
	}
	for _, copied := range v.writes(f) {
		if !copied.scoped && !copied.Secured && copied.CanSelect {
			v.add("trigger-copies", object, fmt.Sprintf("revoke select on %s from public, %s;", copied.sql(), quote(v.session.Role)),
				"It writes to %s at every tenant's statements, and the role reads that without a policy: what it holds of rows and times is every tenant's.", copied.object())
		}
	}
}

var written = regexp.MustCompile(`(?:insert\s+into|update|merge\s+into)\s+(?:only\s+)?(` + chain.String() + `)`)

// writes are the tables that the function's own statements write to.
func (c *catalog) writes(f *function) (out []*table) {
	code := f.text.code
	if f.text.names("execute") {
		code = lowerASCII(f.Source)
	}
	for _, m := range written.FindAllStringSubmatch(code, -1) {
		for _, k := range namesIn(m[1]) {
			for _, full := range c.names.meant(k, f) {
				if t := c.names.tables[full]; t != nil && !slices.Contains(out, t) {
					out = append(out, t)
				}
			}
		}
	}
	return out
}

// ownedFunction reports a function that the role may replace.
func (v *verifier) ownedFunction(f *function, by string) {
	if !v.found(f.object(), "function-owned") {
		v.add("function-owned", f.object(), fmt.Sprintf("alter function %s owner to another_role;", f.sql()), "The role may put another function in its place, and it is run by %s.", by)
	}
}

// setsTenant is a statement that sets the tenant for longer than a transaction.
var setsTenant = regexp.MustCompile(`set_config\s*\(\s*'` + regexp.QuoteMeta(tenant.TenantSetting) + `'\s*,[^;]*,\s*(?:is_local\s*=>\s*)?false\s*\)|(?:^|[^a-z0-9_])set\s+(?:session\s+)?` + regexp.QuoteMeta(tenant.TenantSetting) + `\s*(?:=|to\s)`)

// checkSets looks at functions that bring a tenant, or leave one.
func (v *verifier) checkSets(f *function) {
	switch {
	case !f.CanExecute && !f.Trigger:
	case f.Presets:
		v.add("function-sets-tenant", f.object(), fmt.Sprintf("alter function %s reset %s;", f.sql(), tenant.TenantSetting), "It works as the tenant that it brings along, whoever calls it.")
	case setsTenant.MatchString(lowerASCII(f.Source)):
		v.add("function-sets-tenant", f.object(), fmt.Sprintf("-- set it for the transaction: set_config('%s', ..., true)", tenant.TenantSetting), "It sets a tenant for the session: what comes next on the connection works as that tenant.")
	}
}

// checkPath looks at what the names in a definer function's body may be made to
// mean.
func (v *verifier) checkPath(f *function) {
	path, fixed := f.path()
	if !fixed {
		v.searchPath(f, "pg_catalog, pg_temp", "the caller's search_path decides what its names mean")
		return
	}
	keep := slices.DeleteFunc(slices.Clone(path), func(s string) bool { return s == "pg_temp" || slices.Contains(v.session.Creatable, s) })
	for i, schema := range keep {
		keep[i] = quote(schema)
	}
	fix := strings.Join(append(keep, "pg_temp"), ", ")
	for _, schema := range path {
		if slices.Contains(v.session.Creatable, schema) {
			v.searchPath(f, fix, fmt.Sprintf("the role may create in %s, which its search_path leads to", schema))
		}
	}
	// Unless they are named, temporary tables come first.
	if v.session.Temporary && path[len(path)-1] != "pg_temp" && !f.Standard && slices.ContainsFunc(f.mentions(), func(k named) bool {
		return k.schema == "" && slices.ContainsFunc(v.names.meant(k, f), func(full named) bool { return v.names.tables[full] != nil || v.names.views[full] != nil })
	}) {
		v.searchPath(f, fix, "a temporary table stands in for the one that it names without a schema")
	}
}
