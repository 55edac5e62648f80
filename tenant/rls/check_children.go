package rls

import (
	"fmt"
	"slices"
)

// checkChildren judges the tables that refer to a tenants' table and have no tenant column:
// only a policy that reads the parent keeps their rows apart.
func (v *verifier) checkChildren() {
	for _, t := range v.tables {
		switch {
		case t.refersTo == nil || !t.reachable() || !t.Secured && len(t.policies) > 0: // policies-off reports the last
		case !t.Secured:
			v.add("table-unscoped", t.object(), childFix(t),
				"Every tenant reaches every row: the rows belong to rows of %s, and the table has no tenant column and no policy.", t.refersTo.object())
		default:
			for _, p := range t.policies {
				if p.Permissive && p.MayApply && !slices.ContainsFunc(p.restrictive(), v.readsParent) {
					v.checkChildPolicy(p)
				}
			}
		}
	}
}

func childFix(t *table) string {
	return fmt.Sprintf("-- give %s the tenant column and policies, or a policy that reads %s", t.sql(), t.refersTo.sql())
}

// checkChildPolicy judges a permissive policy of a child.
func (v *verifier) checkChildPolicy(p *rowPolicy) {
	fix := fmt.Sprintf("drop policy %s on %s;\n%s", quote(p.Name), p.table.sql(), childFix(p.table))
	for _, e := range p.expressions() {
		switch {
		case v.readsTenantTable(p, e.text) || v.found(p.object(), "policy-true", "policy-ignores-tenant"):
		case e.text.isTrue():
			v.alwaysTrue(p, e, fix)
		case e.check && p.Command != "a":
			v.add("with-check-weak", p.object(), fix, "A session may write rows of another tenant: WITH CHECK does not read %s, whose rows name the tenant.", p.table.refersTo.object())
		default:
			v.add("policy-ignores-tenant", p.object(), fix, "The policy does not read %s, whose rows name the tenant: for %s the policy passes rows of every tenant.", p.table.refersTo.object(), p.commandName())
		}
	}
}

// readsParent reports whether every expression of the policy reads a tenants' table.
func (c *catalog) readsParent(p *rowPolicy) bool {
	return !slices.ContainsFunc(p.expressions(), func(e expression) bool { return !c.readsTenantTable(p, e.text) })
}

// readsTenantTable reports whether the expression of the policy reads another table that
// belongs to tenants, or a child of one, directly, by a view or by a function.
func (c *catalog) readsTenantTable(p *rowPolicy, text sqlText) bool {
	hasTenant := func(t *table) bool { return t != nil && t != p.table && (t.belongs || t.refersTo != nil) }
	for _, oid := range p.Tables {
		if t := c.byOID[oid]; hasTenant(t) && text.names(t.Name) {
			return true
		}
		if w := c.viewX[oid]; w != nil && text.names(w.Name) && slices.ContainsFunc(w.Refs, func(ref uint32) bool { return hasTenant(c.byOID[ref]) }) {
			return true
		}
	}
	for _, oid := range p.Functions {
		f := c.functionX[oid]
		if f == nil || !slices.ContainsFunc(text.calls, func(call call) bool { return call.name == lowerASCII(f.Name) }) {
			continue
		}
		if slices.ContainsFunc(c.accessesOf(c.names, f), func(a access) bool { return hasTenant(a.table) }) {
			return true
		}
	}
	return false
}
