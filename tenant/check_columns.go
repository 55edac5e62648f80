package tenant

import (
	"fmt"
	"slices"
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
		if t.Default != "" && !v.defaultReadsTenant(t.Default) {
			v.add("column-default", column, alter+fmt.Sprintf("set default nullif(current_setting('%s', true), '')::%s;", TenantSetting, t.kind()),
				"An insert that forgets the tenant gets the default's: where a policy does not stop it, the row belongs to the wrong one.")
		}
	}
}

func (v *verifier) defaultReadsTenant(expression string) bool {
	text := readSQL(expression)
	return text.readsSetting(TenantSetting) || slices.ContainsFunc(text.calls, func(c call) bool {
		return slices.ContainsFunc(v.functions, func(f *function) bool { return lowerASCII(f.Name) == c.name && f.reads[TenantSetting] })
	})
}

// checkKeys looks at indexes, unique keys and foreign keys.
func (v *verifier) checkKeys() {
	led := make(map[uint32]bool)
	for _, k := range v.keys {
		t := v.byOID[k.Table]
		if t.AttNum != 0 && k.Usable && len(k.Columns) > 0 && k.Columns[0] == t.AttNum {
			led[t.OID] = true
		}
	}
	for _, t := range v.scoped {
		if t.AttNum != 0 && !t.Partition && t.Kind != "f" && !led[t.OID] {
			v.add("index-missing", t.object(), fmt.Sprintf("create index on %s (%s);", t.sql(), quote(t.Column)),
				"The policies add a comparison with %s to every statement: without an index each reads the whole table.", t.Column)
		}
	}
	for _, k := range v.keys {
		t := v.byOID[k.Table]
		if t.AttNum == 0 || t.Partition {
			continue
		}
		name := t.object() + "." + k.Name
		if k.Unique && !slices.Contains(k.Columns, t.AttNum) {
			if k.Primary {
				v.addAs(LevelNote, FailOpen, "unique-without-tenant", name, fmt.Sprintf("-- make the key (%s, ...)", quote(t.Column)),
					"A primary key asks no policy: whoever may choose keys learns which of them other tenants have.")
			} else {
				v.add("unique-without-tenant", name, fmt.Sprintf("-- make the key (%s, ...)", quote(t.Column)),
					"A unique key asks no policy: a tenant collides with another's value, and so learns that it exists.")
			}
		}
		if k.Usable && len(k.Leaky) > 0 && k.Columns[0] == t.AttNum {
			v.add("index-not-leakproof", name, "-- none: the column's type decides; text, uuid, integers, dates and booleans are leakproof",
				"Equality of %q is not leakproof, so that under row-level security this part of the index is not searched but filtered.", k.Leaky)
		}
	}
	for _, k := range v.foreign {
		from, to := v.byOID[k.Table], v.byOID[k.References]
		if from == nil || !from.scoped {
			v.checkUnscoped(from, to)
			continue
		}
		if from.AttNum == 0 || to.AttNum == 0 || from.Partition || k.pairs(from, to) {
			continue
		}
		v.add("foreign-key-without-tenant", from.object()+"."+k.Name, fmt.Sprintf("-- make it foreign key (%s, ...) references %s (%s, ...)", quote(from.Column), to.sql(), quote(to.Column)),
			"A foreign key asks no policy: a row may point at another tenant's in %s, and so learns that it exists.", to.object())
	}
}

// checkUnscoped looks at a table that hangs on a tenants' table and is none
// itself. Where tables are declared the others are not looked at.
func (v *verifier) checkUnscoped(from, to *table) {
	if from == nil || from.Secured || !from.reachable() || len(v.declared) > 0 || v.found(from.object(), "table-unscoped") {
		return
	}
	v.add("table-unscoped", from.object(), fmt.Sprintf("-- give it the column %s and policies, or a policy that asks %s", quote(to.Column), to.sql()),
		"Its rows belong to rows of %s, and are visible to every tenant: it has no column %s and no policy.", to.object(), to.Column)
}
