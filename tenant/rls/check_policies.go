package rls

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agentagency/onepool/tenant"
)

// checkPolicies judges the policies that may apply to the role.
func (v *verifier) checkPolicies() {
	for _, p := range v.policies {
		if !p.table.scoped || !p.MayApply {
			continue
		}
		if p.Permissive && !v.restricted(p) {
			v.checkMeaning(p)
		}
		v.checkHelpers(p)
		v.checkWording(p)
		v.checkTrust(p)
	}
}

// restricted reports whether a restrictive policy compares the tenant for every row that the
// permissive policy p passes, so that p may be open.
func (c *catalog) restricted(p *rowPolicy) bool {
	return slices.ContainsFunc(p.restrictive(), func(r *rowPolicy) bool { return c.restricts(r, p) })
}

// restricts reports whether the restrictive policy r compares the tenant when p passes rows.
func (c *catalog) restricts(r, p *rowPolicy) bool {
	_, check := r.checked()
	return c.compares(r, check) && (p.Using == "" || c.compares(r, r.using))
}

// compares reports whether the expression of the policy holds the tenant column and the setting.
func (c *catalog) compares(p *rowPolicy, t sqlText) bool {
	return c.settingsOf(p, t)[tenant.TenantSetting] && p.hasColumn(t)
}

// hasColumn reports whether an expression of the policy holds the tenant column of the
// policy's own table.
func (p *rowPolicy) hasColumn(t sqlText) bool {
	return p.table.AttNum == 0 || t.names(p.table.Column) && slices.Contains(p.Columns, p.table.AttNum)
}

// expression is USING or WITH CHECK of a policy.
type expression struct {
	sql   string
	text  sqlText
	check bool
}

func (p *rowPolicy) expressions() []expression {
	return slices.DeleteFunc([]expression{{p.Using, p.using, false}, {p.Check, p.check, true}}, func(e expression) bool { return e.sql == "" })
}

// checkMeaning judges whether the policy keeps tenants apart. The server ORs permissive
// policies, so one open policy opens the table.
func (v *verifier) checkMeaning(p *rowPolicy) {
	fix := p.fix()
	for _, e := range p.expressions() {
		if v.found(p.object(), "policy-true", "policy-ignores-tenant", "policy-other-setting") {
			return
		}
		settings := v.settingsOf(p, e.text)
		reads := settings[tenant.TenantSetting]
		hasColumn := p.hasColumn(e.text)
		switch {
		case e.text.isTrue():
			v.alwaysTrue(p, e, fix)
		case p.table.AttNum == 0 && !reads && v.readsTenantTable(p, e.text): // the other table's policies keep tenants apart
		case !reads && len(settings) > 0:
			v.otherSetting(p, settings)
		case (!reads || !hasColumn) && e.check && p.Command != "a":
			v.add("with-check-weak", p.object(), fix, "A session may write rows of another tenant: WITH CHECK does not compare %s with %s.", p.table.Column, tenant.TenantSetting)
		case !reads:
			v.add("policy-ignores-tenant", p.object(), fix, "The policy does not read %s: for %s the policy passes rows of every tenant.", tenant.TenantSetting, p.commandName())
		case !hasColumn:
			v.add("policy-ignores-tenant", p.object(), fix, "The policy reads %s and does not compare %s with the setting: any tenant passes.", tenant.TenantSetting, p.table.Column)
		}
	}
}

func (v *verifier) alwaysTrue(p *rowPolicy, e expression, fix string) {
	if e.check && p.Command != "a" {
		v.add("with-check-weak", p.object(), fix, "A session may write rows of any tenant: WITH CHECK is true.")
		return
	}
	v.add("policy-true", p.object(), fix, "For %s the policy passes every row, and no other policy can hide a row.", p.commandName())
}

// otherSetting reports a policy that reads settings, and not the tenant's.
func (v *verifier) otherSetting(p *rowPolicy, settings map[string]bool) {
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	read := strings.Join(names, ", ")
	switch {
	case settings[tenant.UserSetting] || settings[tenant.SessionSetting]:
		v.addAs(LevelError, FailOpen, "policy-other-setting", p.object(), p.fix(),
			"The policy reads %s and never %s: users of two tenants who have the same ID reach each other's rows.", read, tenant.TenantSetting)
	case settings["application_name"]: // a client chooses the name, and a session rarely has none
		v.addAs(LevelError, FailOpen, "policy-other-setting", p.object(), p.fix(),
			"The policy reads %s and never %s: every client chooses the value, and so the rows.", read, tenant.TenantSetting)
	default:
		v.addAs(LevelError, FailClosed, "policy-other-setting", p.object(), p.fix(),
			"The policy reads %s and never %s, which the application sets: no row passes, or rows of a value that another program has set.", read, tenant.TenantSetting)
	}
}

func (p *rowPolicy) commandName() string {
	for _, c := range commands {
		if c.letter == p.Command {
			return c.name
		}
	}
	return "all commands"
}

// fix replaces the policy by the policies of Enable.
func (p *rowPolicy) fix() string {
	drop := fmt.Sprintf("drop policy %s on %s;", quote(p.Name), p.table.sql())
	if p.table.AttNum == 0 {
		return drop
	}
	return drop + "\n" + p.table.enable()
}

// checkHelpers judges the functions that the policy calls.
func (v *verifier) checkHelpers(p *rowPolicy) {
	for _, f := range v.functionsOf(p) {
		direct := slices.Contains(p.Functions, f.OID)
		unwrapped := func(t sqlText) bool {
			return slices.ContainsFunc(t.calls, func(c call) bool { return c.name == lowerASCII(f.Name) && !c.wrapped })
		}
		switch {
		case f.Volatility == "i" && f.readsAny():
			v.add("policy-immutable", p.object(), fmt.Sprintf("alter function %s stable;", f.sql()),
				"The plan of a prepared statement keeps the result of the IMMUTABLE function %s, which may read a setting: a later tenant on the connection reads an earlier tenant's rows.", f.object())
		case f.Volatility == "v" && direct && (unwrapped(p.using) || unwrapped(p.check)):
			v.add("policy-volatile", p.object(), fmt.Sprintf("alter function %s stable;", f.sql()),
				"A scan calls the VOLATILE function %s for every row and uses no index.", f.object())
		case direct && f.reads[tenant.TenantSetting] && (unwrapped(p.using) || unwrapped(p.check)):
			v.add("policy-per-row", p.object(), fmt.Sprintf("-- write (select %s()) in place of %[1]s()\n%s", f.object(), p.fix()),
				"A scan calls %s for every row; a statement evaluates a sub-select once.", f.object())
		}
		if f.Definer {
			v.checkPath(f)
		}
		if f.MayOwn && !p.table.MayOwn && !v.session.Super {
			v.ownedFunction(f, "the policy "+p.object())
		}
		if i := slices.IndexFunc(f.text.reads, func(r settingRead) bool { return r.name == tenant.TenantSetting && !r.nullif }); i >= 0 && !handlesEmpty(f.text) {
			v.emptySetting(p, "The function "+f.object())
		}
	}
}

// checkTrust judges the tables that decide which rows the policy passes.
func (v *verifier) checkTrust(p *rowPolicy) {
	for _, oid := range p.Tables {
		t := v.byOID[oid]
		if t == nil || t.Secured || !t.CanInsert && !t.CanUpdate || v.session.bypasses() || v.found(t.object(), "table-rls-off", "policies-off") {
			continue
		}
		v.add("policy-trusts-table", p.object(), fmt.Sprintf("revoke insert, update on %s from %s;\n-- or put policies on the table", t.sql(), quote(v.session.Role)),
			"The policy reads %s, which has no policies: every tenant may write the rows that decide.", t.object())
	}
}

// handlesEmpty reports whether a function's body seems to handle an empty setting.
func handlesEmpty(t sqlText) bool {
	return t.names("raise") || t.names("nullif") || strings.Contains(t.code, "<> ''") || strings.Contains(t.code, "= ''")
}

func (v *verifier) emptySetting(p *rowPolicy, reader string) {
	if v.found(p.object(), "policy-empty-setting") {
		return
	}
	direction, then := FailOpen, "every session sees rows whose tenant is the empty string"
	if p.table.AttNum != 0 && p.table.kind() != Text {
		direction, then = FailClosed, "a statement without a tenant fails with a cast error"
	}
	v.addAs(LevelWarn, direction, "policy-empty-setting", p.object(), p.fix(),
		"%s reads the setting without nullif. After its first use on a connection the setting is '' and not NULL: %s.", reader, then)
}

// checkWording judges how the policy reads the setting and the column.
func (v *verifier) checkWording(p *rowPolicy) {
	free := "" // a cast of a domain to its base type costs nothing
	if p.table.Domain {
		free = p.table.Type
	}
	for _, e := range []sqlText{p.using, p.check} {
		for _, r := range e.reads {
			if r.name != tenant.TenantSetting {
				continue
			}
			if !r.nullif {
				v.emptySetting(p, "The policy")
			}
			if !r.missingOK && !v.found(p.object(), "policy-missing-ok") {
				v.add("policy-missing-ok", p.object(), p.fix(),
					"The policy reads the setting without missing_ok: every statement fails on a connection that never had a tenant, and only there.")
			}
			if !r.wrapped && !v.found(p.object(), "policy-per-row") {
				v.add("policy-per-row", p.object(), p.fix(), "A scan reads the setting for every row; a statement evaluates a sub-select once.")
			}
		}
		if e.asksForRole() && !v.found(p.object(), "policy-role-name") {
			v.add("policy-role-name", p.object(), p.fix(), "The policy reads the name of the role, and all tenants of a shared pool have the same role.")
		}
		if p.Permissive {
			v.checkCircumstance(p, e)
		}
		if p.table.AttNum != 0 && !p.table.lengthLimited() && e.casts(p.table.Column, free) && !v.found(p.object(), "policy-cast-column") {
			v.add("policy-cast-column", p.object(), p.fix(), "The policy casts %s, so every statement reads the whole table: no index on the column serves a cast.", p.table.Column)
		}
	}
}

// circumstances are functions whose result depends on the connection, on the statement's
// surroundings, or on chance, and is the same for all tenants.
var circumstances = []string{
	"current_query", "has_table_privilege", "inet_client_addr", "inet_client_port", "inet_server_addr", "inet_server_port",
	"pg_backend_pid", "pg_has_role", "pg_is_in_recovery", "pg_trigger_depth", "random",
}

// checkCircumstance looks for circumstances in an expression of the policy, and in the
// functions that the policy calls.
func (v *verifier) checkCircumstance(p *rowPolicy, t sqlText) {
	calls := slices.Clone(t.calls)
	for _, f := range v.functionsOf(p) {
		calls = append(calls, f.text.calls...)
	}
	i := slices.IndexFunc(calls, func(c call) bool { return slices.Contains(circumstances, c.name) })
	if i >= 0 && !v.found(p.object(), "policy-circumstance") {
		v.add("policy-circumstance", p.object(), p.fix(), "The policy calls %s, which is equal for all tenants: a result that opens the policy opens the policy for all tenants.", calls[i].name)
	}
}
