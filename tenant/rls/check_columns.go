package rls

import (
	"fmt"
	"slices"

	"github.com/agentagency/onepool/tenant"
)

// checkColumns looks at the tenant column.
func (v *verifier) checkColumns() {
	for _, t := range v.scoped {
		if t.AttNum == 0 || t.Partition || t.Kind == "f" {
			continue // a partition's are its parent's
		}
		column := t.object() + "." + t.Column
		alter := fmt.Sprintf("alter table %s alter column %s ", t.sql(), quote(t.Column))
		if !t.NotNull {
			v.add("column-nullable", column, alter+"set not null;", "A row without a tenant belongs to nobody: no tenant sees it, and unique keys do not hold for it.")
		}
		if !t.usualType() {
			v.add("column-type", column, "-- drop the policies first, and enable them again afterwards:\n"+alter+"type text;", "The setting is text, and %s is not one of text, varchar, uuid and the integers: a policy must cast one side, and its index may not be used.", t.Type)
		}
		if t.Loose {
			v.add("column-collation", column, "-- drop the policies first, and enable them again afterwards:\n"+alter+"type text collate \"default\";", "Its collation takes tenants whose names differ in case or accents for one: each sees the other's rows.")
		}
		if t.Default != "" && !v.defaultReadsTenant(t.Default) {
			v.add("column-default", column, alter+fmt.Sprintf("set default nullif(current_setting('%s', true), '')::%s;", tenant.TenantSetting, t.kind()),
				"An insert that forgets the tenant gets the default's: where a policy does not stop it, the row belongs to the wrong one.")
		}
	}
}

func (v *verifier) defaultReadsTenant(expression string) bool {
	text := readSQL(expression)
	if slices.ContainsFunc(text.calls, func(c call) bool { return c.name == "coalesce" }) {
		return false // it has another tenant where none is set
	}
	return text.readsSetting(tenant.TenantSetting) || slices.ContainsFunc(text.calls, func(c call) bool {
		return slices.ContainsFunc(v.functions, func(f *function) bool { return lowerASCII(f.Name) == c.name && f.reads[tenant.TenantSetting] })
	})
}
