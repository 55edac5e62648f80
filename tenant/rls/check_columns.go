package rls

import (
	"fmt"
	"slices"

	"github.com/agentagency/onepool/tenant"
)

// checkColumns judges the tenant columns.
func (v *verifier) checkColumns() {
	for _, t := range v.scoped {
		if t.AttNum == 0 || t.Partition || t.Kind == "f" {
			continue // the parent's finding covers a partition
		}
		column := t.object() + "." + t.Column
		alter := fmt.Sprintf("alter table %s alter column %s ", t.sql(), quote(t.Column))
		if !t.NotNull {
			v.add("column-nullable", column, alter+"set not null;", "No tenant sees a row without a tenant, and unique keys ignore the row.")
		}
		if !t.usualType() {
			v.add("column-type", column, "-- drop the policies first, and enable them again afterwards:\n"+alter+"type text;", "The setting is text, and %s is not one of text, varchar, uuid and the integers: a policy must cast one side, and its index may not be used.", t.Type)
		}
		if t.Loose {
			v.add("column-collation", column, "-- drop the policies first, and enable them again afterwards:\n"+alter+"type text collate \"default\";", "The collation treats tenants whose names differ in case or accents as the same tenant: each tenant sees the rows of the second.")
		}
		if t.Default != "" && !v.defaultReadsTenant(t.Default) {
			v.add("column-default", column, alter+fmt.Sprintf("set default nullif(current_setting('%s', true), '')::%s;", tenant.TenantSetting, t.kind()),
				"An insert without a tenant gets the default tenant: unless a policy refuses the row, the row belongs to the wrong tenant.")
		}
	}
}

func (v *verifier) defaultReadsTenant(expression string) bool {
	text := readSQL(expression)
	if slices.ContainsFunc(text.calls, func(c call) bool { return c.name == "coalesce" }) {
		return false // another default applies without a tenant
	}
	return text.readsSetting(tenant.TenantSetting) || slices.ContainsFunc(text.calls, func(c call) bool {
		return slices.ContainsFunc(v.functions, func(f *function) bool { return lowerASCII(f.Name) == c.name && f.reads[tenant.TenantSetting] })
	})
}
