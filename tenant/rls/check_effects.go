package rls

import "fmt"

// checkEffects judges the rules and triggers by which a write to another relation reaches
// tenants' tables.
func (v *verifier) checkEffects() {
	if v.session.bypasses() {
		return
	}
	for _, w := range v.effects {
		at, found := w.function.worst()
		if t := v.byOID[w.Relation]; !found || !at.bypasses || t != nil && t.scoped {
			continue // checkFunctions judges the triggers of a tenants' table
		}
		if w.Kind == "rule" {
			v.add("rule-owner", w.object(), fmt.Sprintf("drop rule %s on %s;", quote(w.Called), w.sql()),
				"A write to %s makes the rule work on %s as %s, whom no policy limits to a tenant.", w.relation(), at.table.object(), at.owner)
		} else {
			v.add("trigger-definer", w.object(), fmt.Sprintf("alter function %s security invoker;", w.function.sql()),
				"A write to %s makes %s work on %s as %s, whom no policy limits to a tenant.", w.relation(), w.function.object(), at.table.object(), at.owner)
		}
	}
}
