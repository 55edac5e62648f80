package rls

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/agentagency/onepool/tenant"
)

// checkSets looks at functions that work as a tenant of their own, or that leave a tenant on
// the session.
func (v *verifier) checkSets(f *function) {
	switch {
	case !f.CanExecute && !f.Trigger:
	case f.Presets:
		v.add("function-sets-tenant", f.object(), fmt.Sprintf("alter function %s reset %s;", f.sql(), tenant.TenantSetting), "The function works as a tenant that the function sets itself, whoever the caller is.")
	case setsTenantForSession(f.Source):
		v.add("function-sets-tenant", f.object(), fmt.Sprintf("-- set the tenant for the transaction: set_config('%s', ..., true)", tenant.TenantSetting),
			"The function sets the tenant, or a setting whose name the function builds, for the session: the next work on the connection runs as that tenant.")
	}
}

var (
	setTenant   = regexp.MustCompile(`(?:^|[^a-z0-9_])set\s+(?:session\s+)?` + regexp.QuoteMeta(tenant.TenantSetting) + `\s*(?:=|to\s)`)
	setAny      = regexp.MustCompile(`^\s*set\s+(?:session\s+)?([^\s=]*)(\s|=)?`)
	setTable    = regexp.MustCompile(`update\s+(?:only\s+)?(?:pg_catalog\s*\.\s*)?pg_settings(?:\s|$)`)
	notSettings = []string{"local", "session", "transaction", "constraints", "characteristics"}
)

// setsTenantForSession reports whether a function's body sets the tenant for longer than a
// transaction. A setting of a built name counts if the name may be the tenant's.
func setsTenantForSession(source string) bool {
	lower := lowerASCII(source)
	if setTenant.MatchString(lower) || setTable.MatchString(readSQL(source).code) {
		return true
	}
	for _, arguments := range callsOf(source, "set_config") {
		if len(arguments) > 2 && !isTrueLiteral(arguments[2]) && mayNameTenant(arguments[0]) {
			return true
		}
	}
	return slices.ContainsFunc(executed(source), func(expression string) bool {
		text, _ := leadingLiteral(expression)
		m := setAny.FindStringSubmatch(lowerASCII(text))
		switch {
		case m == nil || slices.Contains(notSettings, m[1]):
			return false
		case m[2] != "" && !strings.Contains(m[1], "%"):
			return m[1] == tenant.TenantSetting
		}
		return mayBegin(m[1])
	})
}

// mayNameTenant reports whether the expression may be the name of the tenant's setting.
func mayNameTenant(expression string) bool {
	text, whole := leadingLiteral(expression)
	if whole {
		return strings.EqualFold(text, tenant.TenantSetting)
	}
	return mayBegin(lowerASCII(text))
}

// mayBegin reports whether the tenant's setting may begin with the text, up to a placeholder
// of format.
func mayBegin(text string) bool {
	text, _, _ = strings.Cut(text, "%")
	const setting = tenant.TenantSetting
	return strings.HasPrefix(setting, text)
}

var namedArgument = regexp.MustCompile(`^\s*[a-z_]+\s*(?:=>|:=)\s*`)

func isTrueLiteral(expression string) bool {
	text := namedArgument.ReplaceAllString(lowerASCII(expression), "")
	return strings.Trim(text, " ()\t\n") == "true"
}
