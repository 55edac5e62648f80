package rls

import (
	"fmt"
	"slices"

	"github.com/agentagency/onepool/tenant"
)

// checkFunctions looks at functions that lead around the policies.
func (v *verifier) checkFunctions() {
	for _, f := range v.functions {
		if f.Volatility == "i" && f.reads[tenant.TenantSetting] && !v.inPolicy(f) {
			v.add("function-immutable", f.object(), fmt.Sprintf("alter function %s stable;", f.sql()),
				"The plan of a prepared statement keeps its result: wherever it is used, a later tenant on the connection gets an earlier one's.")
		}
		if f.Leakproof && !v.session.bypasses() {
			v.add("function-leakproof", f.object(), fmt.Sprintf("alter function %s not leakproof;", f.sql()),
				"It is called with other tenants' rows before the policies have hidden them: an error, a notice or the time that it takes tells what they hold.")
		}
		if v.session.Super {
			continue
		}
		v.checkSets(f)
		if f.Definer && f.CanExecute {
			v.checkDefiner(f)
		}
	}
	for _, x := range v.extras {
		if f := v.functionX[x.Function]; x.Kind == "trigger" && f != nil {
			v.checkTrigger(v.byOID[x.Table], x.Name, f)
		}
	}
}

// worst is what the function does worst: to work on a tenants' table as somebody
// whom no policy binds.
func (f *function) worst() (worst touch, found bool) {
	for _, at := range f.touched {
		if at.table.scoped && (!found || at.bypasses && !worst.bypasses) {
			worst, found = at, true
		}
	}
	return worst, found
}

// checkDefiner looks at what whoever calls the function has it do.
func (v *verifier) checkDefiner(f *function) {
	fix := fmt.Sprintf("alter function %s security invoker;", f.sql())
	at, found := f.worst()
	switch {
	case found && at.bypasses && f.Trigger:
		v.add("function-definer", f.object(), fix+fmt.Sprintf("\n-- or: revoke execute on function %s from public, %s;", f.sql(), quote(v.session.Role)),
			"It works on %s as %s, whom no policy binds: whoever puts it on a table of their own, a temporary one even, chooses the rows that it is told.", at.table.object(), at.owner)
	case found && at.bypasses:
		v.add("function-definer", f.object(), fix, "It works on %s as %s, whom no policy binds: whoever may call it gets what it shows of every tenant.", at.table.object(), at.owner)
	case found:
		v.addAs(LevelNote, FailOpen, "function-definer", f.object(), fix,
			"It works on %s as %s: whoever may call it needs no grant, and only FORCE ROW LEVEL SECURITY keeps tenants apart.", at.table.object(), at.owner)
	case f.text.names("execute") && slices.ContainsFunc(v.scoped, func(t *table) bool { return bypasses(f.OwnerBypasses, f.OwnerOID, t) }):
		v.addAs(LevelNote, FailOpen, "function-definer", f.object(), fix,
			"It builds its statements, so that what it works on can't be seen, and runs them as %s, whom no policy binds.", f.Owner)
	}
	if _, found := f.worst(); found || f.OwnerBypasses || slices.ContainsFunc(v.scoped, func(t *table) bool { return t.OwnerOID == f.OwnerOID }) {
		v.checkPath(f)
	}
}

func (v *verifier) searchPath(f *function, path, how string) {
	if v.found(f.object(), "function-search-path") {
		return
	}
	v.add("function-search-path", f.object(), fmt.Sprintf("alter function %s set search_path = %s;", f.sql(), path),
		"Its owner %s can be made to run the caller's objects: %s.", f.Owner, how)
}

// inPolicy reports whether the function was reported with a policy.
func (v *verifier) inPolicy(f *function) bool {
	return slices.ContainsFunc(v.policies, func(p *rule) bool {
		return p.table.scoped && p.MayApply && slices.Contains(v.functionsOf(p), f)
	})
}

// bypasses reports whether no policy of the table binds the owner of a view or
// function.
func bypasses(ownerBypasses bool, owner uint32, t *table) bool {
	return ownerBypasses || !t.Secured || owner == t.OwnerOID && !t.Forced
}

// checkViews looks at views that read tenants' tables in their owner's name.
func (v *verifier) checkViews() {
	byOID := v.viewX
	// What the role reads by way of a view counts as well.
	reached := make(map[uint32]bool)
	var reach func(*view)
	reach = func(w *view) {
		if w == nil || reached[w.OID] {
			return
		}
		reached[w.OID] = true
		for _, ref := range w.Refs {
			reach(byOID[ref])
		}
	}
	for _, w := range v.views {
		if w.Readable {
			reach(w)
		}
	}
	for _, w := range v.views {
		switch {
		case !reached[w.OID] || v.session.Super:
		case w.Kind == "m":
			if t := v.below(w, byOID, make(map[uint32]bool)); t != nil {
				v.add("matview", w.object(), fmt.Sprintf("revoke all on %s from %s;", w.sql(), quote(v.session.Role)),
					"It stores rows of %s as its owner saw them, and no policy can be put on it: its readers see what it holds of every tenant.", t.object())
			}
		case !w.Invoker:
			v.checkView(w)
		}
	}
}

func (v *verifier) checkView(w *view) {
	i := slices.IndexFunc(w.Refs, func(ref uint32) bool { t := v.byOID[ref]; return t != nil && t.scoped })
	if i < 0 {
		return
	}
	t := v.byOID[w.Refs[i]]
	fix := fmt.Sprintf("alter view %s set (security_invoker = true);", w.sql())
	owner := w.Owner
	if v.session.Version < 150000 {
		owner += " (before PostgreSQL 15 no view can ask as its reader)"
		fix = fmt.Sprintf("revoke all on %s from %s; -- views of this server can't ask as their reader", w.sql(), quote(v.session.Role))
	}
	if slices.ContainsFunc(w.Refs, func(ref uint32) bool {
		t := v.byOID[ref]
		return t != nil && t.scoped && bypasses(w.OwnerBypasses, w.OwnerOID, t)
	}) {
		v.add("view-not-invoker", w.object(), fix, "It reads %s as %s, whom no policy binds: its readers see every tenant's rows.", t.object(), owner)
		return
	}
	v.addAs(LevelWarn, FailOpen, "view-not-invoker", w.object(), fix,
		"It reads %s as %s: its readers need no grant, and only FORCE ROW LEVEL SECURITY keeps tenants apart.", t.object(), owner)
}

// below returns a tenants' table that the view reads, by way of others too.
func (v *verifier) below(w *view, views map[uint32]*view, seen map[uint32]bool) *table {
	seen[w.OID] = true
	for _, t := range w.reads {
		if t.scoped {
			return t
		}
	}
	for _, ref := range w.Refs {
		if t := v.byOID[ref]; t != nil && t.scoped {
			return t
		}
		if next := views[ref]; next != nil && !seen[ref] {
			if t := v.below(next, views, seen); t != nil {
				return t
			}
		}
	}
	return nil
}
