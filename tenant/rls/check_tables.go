package rls

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agentagency/onepool/tenant"
)

// checkDeclared looks for declared tables that do not exist.
func (v *verifier) checkDeclared() {
	for i, d := range v.declared {
		at := slices.IndexFunc(v.tables, func(t *table) bool {
			return t.Declared >= 0 && t.Name == d.table && (d.schema == "" || t.Schema == d.schema)
		})
		name := strings.TrimPrefix(d.schema+"."+d.table, ".")
		switch {
		case at < 0:
			v.add("table-missing", name, "-- create the table, or correct the declaration", "The table of declaration %d does not exist: the verifier checks no other table in its place.", i+1)
		case v.tables[at].AttNum == 0:
			v.add("column-missing", name, fmt.Sprintf("-- and fill the column of the existing rows:\nalter table %s add column %s text not null;", v.tables[at].sql(), quote(d.column)),
				"The table has no column %s: no policy can know the tenants of the rows.", d.column)
		}
	}
	if len(v.scoped) == 0 && len(v.declared) == 0 {
		v.add("tables-none", v.session.Database, "-- declare the tables, or name their tenant column",
			"The role reaches no table with a column %s or a policy that reads %s: the verifier checked no table.", v.opts.column, tenant.TenantSetting)
	}
}

// checkTables judges whether policies are in force for every command of the role.
func (v *verifier) checkTables() {
	for _, t := range v.tables {
		if !t.Secured && len(t.policies) > 0 && (t.scoped || t.reachable()) {
			v.add("policies-off", t.object(), forceFix(t), "The table's policies do nothing: every tenant's rows are visible.")
		}
	}
	for _, t := range v.scoped {
		switch {
		case t.Kind == "f":
			v.add("foreign-table", t.object(), fmt.Sprintf("revoke all on %s from %s;", t.sql(), quote(v.session.Role)),
				"A reader of the foreign table reads every tenant's rows, unless the foreign server keeps tenants apart.")
		case !t.Secured && len(t.policies) > 0: // policies-off
		case !t.Secured && t.Partition:
			v.add("partition-rls-off", t.object(), fmt.Sprintf("revoke all on %s from %s;\n-- or:\n%s", t.sql(), quote(v.session.Role), t.enable()),
				"The parent's policies do not apply to a direct read of a partition: the partition shows every tenant's rows.")
		case !t.Secured && !t.reachable():
			// The view or function has a finding of its own.
			v.addAs(LevelWarn, FailOpen, "table-rls-off", t.object(), t.enable(), "Every tenant's rows are open to a reader of another role, and a view or function lets this role read as the second role.")
		case !t.Secured:
			v.add("table-rls-off", t.object(), t.enable(), "Every tenant's rows are visible to every role with a grant on the table.")
		default:
			v.checkForced(t)
			v.checkCoverage(t)
		}
	}
}

func forceFix(t *table) string {
	return fmt.Sprintf("alter table %s enable row level security;\nalter table %[1]s force row level security;", t.sql())
}

func (v *verifier) checkForced(t *table) {
	fix := fmt.Sprintf("alter table %s force row level security;", t.sql())
	switch {
	case t.Forced || v.session.bypasses():
	case t.Owned, t.MayOwn:
		v.add("table-not-forced", t.object(), fix, "The role acts as the table's owner, whom no policy binds: the role sees every tenant's rows.")
	default:
		v.addAs(LevelNote, FailOpen, "table-not-forced", t.object(), fix,
			"The owner %s, and every view and function of the owner, sees every tenant's rows.", t.Owner)
	}
}

// commands are the commands of policies, by their letters in pg_policy.
var commands = []struct {
	letter, name string
	granted      func(*table) bool
}{
	{"r", "select", func(t *table) bool { return t.CanSelect }},
	{"a", "insert", func(t *table) bool { return t.CanInsert }},
	{"w", "update", func(t *table) bool { return t.CanUpdate }},
	{"d", "delete", func(t *table) bool { return t.CanDelete }},
}

// checkCoverage looks for granted commands that no policy lets the role use.
func (v *verifier) checkCoverage(t *table) {
	if v.session.bypasses() {
		return
	}
	if !slices.ContainsFunc(t.policies, func(p *rowPolicy) bool { return p.MayApply && p.Permissive }) {
		if t.reachable() {
			v.add("table-no-policy", t.object(), t.enable(), "No policy is for the role: the role sees no row and writes no row.")
		}
		return
	}
	var missing []string
	for _, c := range commands {
		covers := func(p *rowPolicy) bool {
			return p.MayApply && p.Permissive && (p.Command == c.letter || p.Command == "*") && (p.Using != "" || p.Check != "")
		}
		if c.granted(t) && !slices.ContainsFunc(t.policies, covers) {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		v.add("command-no-policy", t.object(), fmt.Sprintf("%s\n-- or: revoke %s on %s from %s;", t.enable(), strings.Join(missing, ", "), t.sql(), quote(v.session.Role)),
			"The role has the grant to %s, and no policy for the command: the server refuses every row.", strings.Join(missing, ", "))
	}
}
