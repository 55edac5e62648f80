package rls

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agentagency/onepool/tenant"
)

// checkOred looks for commands with several permissive policies. The server ORs these
// policies: the weakest decides, and each must keep tenants apart alone.
func (v *verifier) checkOred() {
	for _, t := range v.scoped {
		if !t.Secured {
			continue
		}
		var names, through []string
		for _, c := range commands {
			several := v.ored(t, c.letter)
			if !c.granted(t) || len(several) < 2 {
				continue
			}
			through = append(through, c.name)
			for _, p := range several {
				if !slices.Contains(names, p.Name) {
					names = append(names, p.Name)
				}
			}
		}
		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		v.add("policies-ored", t.object(), t.restriction(), "The server ORs the policies %s for %s: the weakest decides, and a policy that a later change widens opens the table.",
			strings.Join(names, ", "), strings.Join(through, ", "))
	}
}

// ored are the permissive policies of the role for the command. A policy that repeats another,
// that a restrictive policy closes, or that has a finding of its own is left out.
func (v *verifier) ored(t *table, command string) (out []*rowPolicy) {
	said := make(map[string]bool)
	for _, p := range t.policies {
		check, _ := p.checked()
		says := p.Using + "\n" + check
		switch command {
		case "a":
			says = check
		case "r", "d":
			says = p.Using
		}
		switch {
		case !p.Permissive || !p.Applies || p.Command != command && p.Command != "*":
		case said[says] || p.shares() || v.restrictedFor(p, command):
		case v.found(p.object(), "policy-true", "policy-ignores-tenant", "policy-other-setting", "with-check-weak"):
		default:
			said[says] = true
			out = append(out, p)
		}
	}
	return out
}

// sharing matches the server's text of the condition of Sharing. The text casts a varchar
// column.
var sharing = regexp.MustCompile(`^\(*("[^"]+"|[^ ()]+)\)?(::text)? = any \(\(?array\( select`)

// shares reports whether the policy is the one that Enable writes for Sharing.
func (p *rowPolicy) shares() bool {
	column := sharing.FindStringSubmatch(p.using.code)
	return p.Name == sharedPolicy && p.Command == "r" && column != nil &&
		strings.Trim(column[1], `"`) == lowerASCII(p.table.Column) && p.using.readsSetting(tenant.TenantSetting)
}

// restrictedFor reports whether a restrictive policy compares the tenant for the command.
func (v *verifier) restrictedFor(p *rowPolicy, command string) bool {
	return slices.ContainsFunc(p.table.policies, func(r *rowPolicy) bool {
		if r.Permissive || !r.Applies || r.Command != command && r.Command != "*" {
			return false
		}
		_, check := r.checked()
		writes := command == "a" || command == "w"
		return (command == "a" || v.compares(r, r.using)) && (!writes || v.compares(r, check))
	})
}

// restriction is the DDL of a restrictive policy that compares the tenant.
func (t *table) restriction() string {
	if t.AttNum == 0 || slices.ContainsFunc(t.policies, (*rowPolicy).shares) {
		return "-- make one policy of them, or add a restrictive policy that compares the tenant"
	}
	mine := quote(t.Column) + " = " + currentTenant(t.kind())
	return fmt.Sprintf("drop policy if exists tenant_restrictive on %s;\ncreate policy tenant_restrictive on %[1]s as restrictive using (%s) with check (%[2]s);", t.sql(), mine)
}
