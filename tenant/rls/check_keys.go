package rls

import (
	"fmt"
	"slices"
	"strings"
)

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
		if k.Exclusion && !slices.Contains(k.Equal, t.AttNum) {
			v.add("exclusion-without-tenant", name, fmt.Sprintf("-- make it exclude using gist (%s with =, ...): the extension btree_gist lets GiST compare the tenant", quote(t.Column)),
				"An exclusion constraint asks no policy: a tenant collides with another's row, and so learns that it exists.")
		}
		v.checkLeaky(t, k, name)
	}
	for _, k := range v.foreign {
		from, to := v.byOID[k.Table], v.byOID[k.References]
		switch {
		case to == nil:
			continue
		case !to.scoped:
			if slices.Equal(k.Columns, []int16{from.AttNum}) && !to.Secured && to.CanSelect && !v.session.bypasses() && !v.found(to.object(), "tenants-listed") {
				v.add("tenants-listed", to.object(), fmt.Sprintf("revoke select on %s from public, %s;\n-- or put a policy on it", to.sql(), quote(v.session.Role)),
					"%s refers to it for its tenants, and no policy keeps it: every tenant may read who the others are.", from.object())
			}
			if k.cascades(to) && !v.session.bypasses() {
				v.add("foreign-key-cascades", from.object()+"."+k.Name, fmt.Sprintf("revoke update, delete on %s from public, %s;\n-- or put policies on it, or make the key restrict", to.sql(), quote(v.session.Role)),
					"Deletes and updates in %s, which no policy keeps, reach every tenant's rows here: what a key does asks no policy.", to.object())
			}
			continue
		case from == nil || !from.scoped:
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

// checkLeaky looks for parts of an index that are for nothing under the policies:
// what is not leakproof may not see a row before the policies have passed it, so
// that it filters the tenant's rows and looks nothing up.
func (v *verifier) checkLeaky(t *table, k key, name string) {
	if len(k.Leaky) == 0 || !t.Secured || v.session.bypasses() {
		return
	}
	fix := "-- none: the column's type decides; equality of text, uuid, integers, dates and booleans is leakproof"
	if k.Expressions {
		fix = fmt.Sprintf("-- store what it computes, and index that:\n-- alter table %s add column computed text generated always as (...) stored;\n-- create index on %[1]s (%s, computed);", t.sql(), quote(t.Column))
	}
	v.add("index-not-leakproof", name, fix,
		"It is not leakproof in %s, so that under row-level security this part of the index is not looked up: each of the tenant's rows is read and filtered.", strings.Join(k.Leaky, ", "))
}
