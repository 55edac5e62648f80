package rls

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agentagency/onepool/tenant"
)

// checkPolicies looks at the policies that may apply to the role.
func (v *verifier) checkPolicies() {
	for _, p := range v.policies {
		if !p.table.scoped || !p.MayApply {
			continue
		}
		if p.Permissive && !v.fenced(p) {
			v.checkMeaning(p)
		}
		v.checkHelpers(p)
		v.checkWording(p)
		v.checkTrust(p)
	}
}

// fenced reports whether a restrictive policy compares the tenant wherever the
// policy lets rows through, so that it may be open itself.
func (v *verifier) fenced(p *rule) bool {
	return slices.ContainsFunc(p.fences(), func(f *rule) bool {
		_, check := f.checked()
		return v.compares(f, check) && (p.Using == "" || v.compares(f, f.using))
	})
}

// compares reports whether the expression of the policy holds the tenant column
// and the setting.
func (v *verifier) compares(p *rule, t sqlText) bool {
	return v.settingsOf(p, t)[tenant.TenantSetting] && p.hasColumn(t)
}

// hasColumn reports whether an expression of the policy holds the tenant column,
// and not another table's of that name.
func (p *rule) hasColumn(t sqlText) bool {
	return p.table.AttNum == 0 || t.names(p.table.Column) && slices.Contains(p.Columns, p.table.AttNum)
}

// checkMeaning looks at whether the policy keeps tenants apart. Policies are
// OR-ed: one that does not opens the table.
func (v *verifier) checkMeaning(p *rule) {
	fix := p.fix()
	for _, e := range []struct {
		sql   string
		text  sqlText
		check bool
	}{{p.Using, p.using, false}, {p.Check, p.check, true}} {
		if e.sql == "" || v.found(p.object(), "policy-true", "policy-ignores-tenant", "policy-other-setting") {
			continue
		}
		settings := v.settingsOf(p, e.text)
		reads := settings[tenant.TenantSetting]
		hasColumn := p.hasColumn(e.text)
		switch {
		case e.text.isTrue() && e.check && p.Command != "a":
			v.add("with-check-weak", p.object(), fix, "Rows may be written for any tenant: WITH CHECK is true.")
		case e.text.isTrue():
			v.add("policy-true", p.object(), fix, "It lets %s every row through, whatever the other policies say.", p.commandName())
		case !reads && len(settings) > 0:
			names := make([]string, 0, len(settings))
			for name := range settings {
				names = append(names, name)
			}
			slices.Sort(names)
			direction := FailClosed
			if settings["application_name"] { // it is never empty for long, and whoever connects chooses it
				direction = FailOpen
			}
			v.addAs(LevelError, direction, "policy-other-setting", p.object(), fix, "It reads %s and never %s, which is what is set: it matches nothing, or what somebody else has set.", strings.Join(names, ", "), tenant.TenantSetting)
		case (!reads || !hasColumn) && e.check && p.Command != "a":
			v.add("with-check-weak", p.object(), fix, "Rows may be written for another tenant: WITH CHECK does not compare %s with %s.", p.table.Column, tenant.TenantSetting)
		case !reads:
			v.add("policy-ignores-tenant", p.object(), fix, "It does not read %s: what it lets %s through is every tenant's.", tenant.TenantSetting, p.commandName())
		case !hasColumn:
			v.add("policy-ignores-tenant", p.object(), fix, "It reads %s and does not compare %s with it: any tenant will do.", tenant.TenantSetting, p.table.Column)
		}
	}
}

func (p *rule) commandName() string {
	for _, c := range commands {
		if c.letter == p.Command {
			return c.name
		}
	}
	return "all commands"
}

// fix replaces the table's policies by those of Enable.
func (p *rule) fix() string {
	drop := fmt.Sprintf("drop policy %s on %s;", quote(p.Name), p.table.sql())
	if p.table.AttNum == 0 {
		return drop
	}
	return drop + "\n" + p.table.enable()
}

// checkHelpers looks at the functions that the policy calls.
func (v *verifier) checkHelpers(p *rule) {
	for _, f := range v.functionsOf(p) {
		direct := slices.Contains(p.Functions, f.OID)
		unwrapped := func(t sqlText) bool {
			return slices.ContainsFunc(t.calls, func(c call) bool { return c.name == lowerASCII(f.Name) && !c.wrapped })
		}
		switch {
		case f.Volatility == "i" && f.readsAny():
			v.add("policy-immutable", p.object(), fmt.Sprintf("alter function %s stable;", f.sql()),
				"The plan of a prepared statement keeps the result of the IMMUTABLE function %s, which reads a setting or may do so: a later tenant on the connection reads an earlier one's rows.", f.object())
		case f.Volatility == "v" && direct && (unwrapped(p.using) || unwrapped(p.check)):
			v.add("policy-volatile", p.object(), fmt.Sprintf("alter function %s stable;", f.sql()),
				"The VOLATILE function %s is called for every row, and no index is used.", f.object())
		case direct && f.reads[tenant.TenantSetting] && (unwrapped(p.using) || unwrapped(p.check)):
			v.add("policy-per-row", p.object(), fmt.Sprintf("-- write (select %s()) in place of %[1]s()\n%s", f.object(), p.fix()),
				"A scan calls %s for every row: a sub-select is evaluated once.", f.object())
		}
		if f.Definer {
			v.checkPath(f)
		}
		if f.MayOwn && !p.table.MayOwn && !v.session.Super {
			v.ownedFunction(f, "the policy "+p.object())
		}
		if i := slices.IndexFunc(f.text.reads, func(r settingRead) bool { return r.name == tenant.TenantSetting && !r.nullif }); i >= 0 && !handlesEmpty(f.text) {
			v.emptySetting(p, "It", " in "+f.object())
		}
	}
}

// checkTrust looks at the tables that decide what the policy lets through.
func (v *verifier) checkTrust(p *rule) {
	for _, oid := range p.Tables {
		t := v.byOID[oid]
		if t == nil || t.Secured || !t.CanInsert && !t.CanUpdate || v.session.bypasses() || v.found(t.object(), "table-rls-off", "policies-off") {
			continue
		}
		v.add("policy-trusts-table", p.object(), fmt.Sprintf("revoke insert, update on %s from %s;\n-- or put policies on it", t.sql(), quote(v.session.Role)),
			"It asks %s, which no policy keeps: every tenant may write there what the policy goes by.", t.object())
	}
}

// handlesEmpty reports whether a function's body seems to do something about a
// setting that is empty.
func handlesEmpty(t sqlText) bool {
	return t.names("raise") || t.names("nullif") || strings.Contains(t.code, "<> ''") || strings.Contains(t.code, "= ''")
}

func (v *verifier) emptySetting(p *rule, what, where string) {
	if v.found(p.object(), "policy-empty-setting") {
		return
	}
	direction, then := FailOpen, "rows whose tenant is the empty string are visible to everybody"
	if p.table.AttNum != 0 && p.table.kind() != Text {
		direction, then = FailClosed, "a statement without a tenant fails with a cast error"
	}
	v.addAs(LevelWarn, direction, "policy-empty-setting", p.object(), p.fix(),
		"%s reads the setting without nullif%s. Once it has been used on a connection it is '' and not NULL: %s.", what, where, then)
}

// checkWording looks at how the policy reads the setting and the column.
func (v *verifier) checkWording(p *rule) {
	free := "" // a domain's values are its base type's: the cast costs nothing
	if p.table.Domain {
		free = p.table.Type
	}
	for _, e := range []sqlText{p.using, p.check} {
		for _, r := range e.reads {
			if r.name != tenant.TenantSetting {
				continue
			}
			if !r.nullif {
				v.emptySetting(p, "It", "")
			}
			if !r.missingOK && !v.found(p.object(), "policy-missing-ok") {
				v.add("policy-missing-ok", p.object(), p.fix(),
					"It reads the setting without missing_ok: on a connection that never had a tenant every statement fails, and on others it does not.")
			}
			if !r.wrapped && !v.found(p.object(), "policy-per-row") {
				v.add("policy-per-row", p.object(), p.fix(), "A scan reads the setting for every row: a sub-select is evaluated once.")
			}
		}
		if e.asksForRole() && !v.found(p.object(), "policy-role-name") {
			v.add("policy-role-name", p.object(), p.fix(), "It asks for the name of the role, which is the same for every tenant of a shared pool.")
		}
		if p.Permissive {
			v.checkCircumstance(p, e)
		}
		if p.table.AttNum != 0 && !p.table.lengthLimited() && e.casts(p.table.Column, free) && !v.found(p.object(), "policy-cast-column") {
			v.add("policy-cast-column", p.object(), p.fix(), "It casts %s, so that no index on the column is used: every statement reads the whole table.", p.table.Column)
		}
	}
}

// circumstances are functions whose result depends on the connection, on what
// runs a statement, or on chance, and is the same for all tenants.
var circumstances = []string{
	"current_query", "has_table_privilege", "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port",
	"pg_backend_pid", "pg_has_role", "pg_is_in_recovery", "pg_trigger_depth", "random",
}

// checkCircumstance looks for them in an expression of the policy, and in what it
// calls.
func (v *verifier) checkCircumstance(p *rule, t sqlText) {
	calls := slices.Clone(t.calls)
	for _, f := range v.functionsOf(p) {
		calls = append(calls, f.text.calls...)
	}
	i := slices.IndexFunc(calls, func(c call) bool { return slices.Contains(circumstances, c.name) })
	if i >= 0 && !v.found(p.object(), "policy-circumstance") {
		v.add("policy-circumstance", p.object(), p.fix(), "It asks %s, which tells nothing about tenants: where that opens it, it opens it for all of them.", calls[i].name)
	}
}
