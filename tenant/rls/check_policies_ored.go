package rls

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agentagency/onepool/tenant"
)

// checkOred looks for commands that several policies let rows through for. They
// are OR-ed: the weakest decides, and each must keep tenants apart by itself.
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
		v.add("policies-ored", t.object(), t.fence(), "The policies %s are OR-ed for %s: the weakest of them decides, and one that is widened later opens the table.",
			strings.Join(names, ", "), strings.Join(through, ", "))
	}
}

// ored are the policies that let the role's rows through for the command, those
// left out that say the same as another, that a fence closes or that are
// reported as holes themselves.
func (v *verifier) ored(t *table, command string) (out []*rule) {
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
		case said[says] || p.shares() || v.fencedFor(p, command):
		case v.found(p.object(), "policy-true", "policy-ignores-tenant", "policy-other-setting", "with-check-weak"):
		default:
			said[says] = true
			out = append(out, p)
		}
	}
	return out
}

// sharing is how the server shows the condition of Sharing: the column and its
// cast, which a varchar has.
var sharing = regexp.MustCompile(`^\(*("[^"]+"|[^ ()]+)\)?(::text)? = any \(\(?array\( select`)

// shares reports whether the policy is the one that Enable writes for Sharing,
// which only adds to what the others show.
func (p *rule) shares() bool {
	column := sharing.FindStringSubmatch(p.using.code)
	return p.Name == sharedPolicy && p.Command == "r" && column != nil &&
		strings.Trim(column[1], `"`) == lowerASCII(p.table.Column) && p.using.readsSetting(tenant.TenantSetting)
}

// fencedFor reports whether a restrictive policy compares the tenant for the
// command.
func (v *verifier) fencedFor(p *rule, command string) bool {
	return slices.ContainsFunc(p.table.policies, func(f *rule) bool {
		if f.Permissive || !f.Applies || f.Command != command && f.Command != "*" {
			return false
		}
		_, check := f.checked()
		writes := command == "a" || command == "w"
		return (command == "a" || v.compares(f, f.using)) && (!writes || v.compares(f, check))
	})
}

// fence is a policy that the others are AND-ed with.
func (t *table) fence() string {
	if t.AttNum == 0 || slices.ContainsFunc(t.policies, (*rule).shares) {
		return "-- make one policy of them, or add a restrictive one that compares the tenant"
	}
	mine := quote(t.Column) + " = " + currentTenant(t.kind())
	return fmt.Sprintf("drop policy if exists tenant_fence on %s;\ncreate policy tenant_fence on %[1]s as restrictive using (%s) with check (%[2]s);", t.sql(), mine)
}
