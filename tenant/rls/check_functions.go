package rls

import (
	"fmt"
	"slices"

	"github.com/agentagency/onepool/tenant"
)

// checkFunctions judges functions that lead past the policies.
func (v *verifier) checkFunctions() {
	for _, f := range v.functions {
		if f.Volatility == "i" && f.reads[tenant.TenantSetting] && !v.inPolicy(f) {
			v.add("function-immutable", f.object(), fmt.Sprintf("alter function %s stable;", f.sql()),
				"The plan of a prepared statement keeps the result: a later tenant on the connection gets an earlier tenant's.")
		}
		if f.Leakproof && !v.session.bypasses() {
			v.add("function-leakproof", f.object(), fmt.Sprintf("alter function %s not leakproof;", f.sql()),
				"The server may call the function with other tenants' rows before the policies hide the rows: an error, a notice or the duration reveals the values.")
		}
		if v.session.Super {
			continue
		}
		v.checkSets(f)
		if f.Definer && f.CanExecute {
			v.checkDefiner(f)
		}
	}
	for _, x := range v.attachments {
		if f := v.functionX[x.Function]; x.Kind == "trigger" && f != nil {
			v.checkTrigger(v.byOID[x.Table], x, f)
		}
	}
}

// worst is the function's worst access: to a tenants' table, as a role that no policy limits
// to a tenant.
func (f *function) worst() (worst access, found bool) {
	for _, at := range f.accesses {
		if at.table.scoped && (!found || at.bypasses && !worst.bypasses) {
			worst, found = at, true
		}
	}
	return worst, found
}

// checkDefiner judges the accesses of a definer function.
func (v *verifier) checkDefiner(f *function) {
	fix := fmt.Sprintf("alter function %s security invoker;", f.sql())
	at, found := f.worst()
	switch {
	case found && at.bypasses && f.Trigger:
		v.add("function-definer", f.object(), fix+fmt.Sprintf("\n-- or: revoke execute on function %s from public, %s;", f.sql(), quote(v.session.Role)),
			"The function works on %s as %s, whom no policy limits to a tenant: the owner of any table, a temporary table too, may add the trigger to the table and choose the rows.", at.table.object(), at.owner)
	case found && at.bypasses:
		v.add("function-definer", f.object(), fix, "The function works on %s as %s, whom no policy limits to a tenant: the caller reaches every tenant's rows.", at.table.object(), at.owner)
	case found:
		v.addAs(LevelNote, FailOpen, "function-definer", f.object(), fix,
			"The function works on %s as %s: the caller needs no grant, and only FORCE ROW LEVEL SECURITY keeps tenants apart.", at.table.object(), at.owner)
	case f.text.names("execute") && slices.ContainsFunc(v.scoped, func(t *table) bool { return v.bypasses(f.OwnerBypasses, f.OwnerOID, t) }):
		v.addAs(LevelNote, FailOpen, "function-definer", f.object(), fix,
			"The function builds its statements, so the catalog does not show their tables, and runs them as %s, whom no policy limits to a tenant.", f.Owner)
	}
	if found || f.OwnerBypasses || slices.ContainsFunc(v.scoped, func(t *table) bool { return t.OwnerOID == f.OwnerOID }) {
		v.checkPath(f)
	}
}

// inPolicy reports whether a policy's finding covers the function.
func (v *verifier) inPolicy(f *function) bool {
	return slices.ContainsFunc(v.policies, func(p *rowPolicy) bool {
		return p.table.scoped && p.MayApply && slices.Contains(v.functionsOf(p), f)
	})
}

// ownedFunction reports a function that the role may replace.
func (v *verifier) ownedFunction(f *function, caller string) {
	if !v.found(f.object(), "function-owned") {
		v.add("function-owned", f.object(), fmt.Sprintf("alter function %s owner to another_role;", f.sql()), "The role may replace the function, and %s runs the function.", caller)
	}
}
