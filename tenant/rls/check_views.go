package rls

import (
	"fmt"
	"slices"
)

// checkViews judges views that read tenants' tables as their owner.
func (v *verifier) checkViews() {
	// A view below a readable view counts as well.
	reached := make(map[uint32]bool)
	var reach func(*view)
	reach = func(w *view) {
		if w == nil || reached[w.OID] {
			return
		}
		reached[w.OID] = true
		for _, ref := range w.Refs {
			reach(v.viewX[ref])
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
			if t := v.below(w, make(map[uint32]bool)); t != nil {
				v.add("matview", w.object(), fmt.Sprintf("revoke all on %s from %s;", w.sql(), quote(v.session.Role)),
					"The materialized view stores rows of %s as its owner saw them, and can't have policies: its readers see the stored rows of every tenant.", t.object())
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
		owner += " (PostgreSQL has security_invoker since version 15)"
		fix = fmt.Sprintf("revoke all on %s from %s; -- this server has no security_invoker", w.sql(), quote(v.session.Role))
	}
	if slices.ContainsFunc(w.Refs, func(ref uint32) bool {
		t := v.byOID[ref]
		return t != nil && t.scoped && v.bypasses(w.OwnerBypasses, w.OwnerOID, t)
	}) {
		v.add("view-not-invoker", w.object(), fix, "The view reads %s as %s, whom no policy limits to a tenant: its readers see every tenant's rows.", t.object(), owner)
		return
	}
	v.addAs(LevelWarn, FailOpen, "view-not-invoker", w.object(), fix,
		"The view reads %s as %s: its readers need no grant, and only FORCE ROW LEVEL SECURITY keeps tenants apart.", t.object(), owner)
}

// below returns a tenants' table that the view reads, directly or through other views.
func (v *verifier) below(w *view, seen map[uint32]bool) *table {
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
		if next := v.viewX[ref]; next != nil && !seen[ref] {
			if t := v.below(next, seen); t != nil {
				return t
			}
		}
	}
	return nil
}
