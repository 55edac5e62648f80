package rls

import (
	"fmt"
	"slices"
	"strings"
)

// checkKeys judges indexes, unique keys and foreign keys.
func (v *verifier) checkKeys() {
	v.checkMissingIndexes()
	for _, k := range v.keys {
		v.checkKey(k)
	}
	for _, k := range v.foreign {
		v.checkForeignKey(k)
	}
}

// checkMissingIndexes looks for tables without an index that begins with the tenant.
func (v *verifier) checkMissingIndexes() {
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
				"The policies add a comparison with %s to every statement: without an index every statement reads the whole table.", t.Column)
		}
	}
}

// checkKey judges a unique key, an exclusion constraint or an index.
func (v *verifier) checkKey(k key) {
	t := v.byOID[k.Table]
	if t.AttNum == 0 || t.Partition {
		return
	}
	name := t.object() + "." + k.Name
	if k.Unique && !slices.Contains(k.Columns, t.AttNum) {
		if k.Primary {
			v.addAs(LevelNote, FailOpen, "unique-without-tenant", name, fmt.Sprintf("-- make the key (%s, ...)", quote(t.Column)),
				"No policy applies to a primary key: a tenant who chooses keys learns the keys of other tenants.")
		} else {
			v.add("unique-without-tenant", name, fmt.Sprintf("-- make the key (%s, ...)", quote(t.Column)),
				"No policy applies to a unique key: a tenant whose insert collides learns another tenant's value.")
		}
	}
	if k.Exclusion && !slices.Contains(k.Equal, t.AttNum) {
		v.add("exclusion-without-tenant", name, fmt.Sprintf("-- make the constraint exclude using gist (%s with =, ...): the extension btree_gist lets GiST compare the tenant", quote(t.Column)),
			"No policy applies to an exclusion constraint: a tenant whose insert collides learns of another tenant's row.")
	}
	v.checkLeaky(t, k, name)
}

// checkForeignKey judges a foreign key.
func (v *verifier) checkForeignKey(k foreignKey) {
	from, to := v.byOID[k.Table], v.byOID[k.References]
	if from == nil || !from.scoped || to == nil {
		return // checkChildren judges a table that is not scoped
	}
	if !to.scoped {
		if slices.Equal(k.Columns, []int16{from.AttNum}) && !to.Secured && to.CanSelect && !v.session.bypasses() && !v.found(to.object(), "tenants-listed") {
			v.add("tenants-listed", to.object(), fmt.Sprintf("revoke select on %s from public, %s;\n-- or put a policy on the table", to.sql(), quote(v.session.Role)),
				"%s refers to the table for its tenants, and the table has no policy: every tenant may read the list of tenants.", from.object())
		}
		if k.cascades(to) && !v.session.bypasses() {
			v.add("foreign-key-cascades", from.object()+"."+k.Name, fmt.Sprintf("revoke update, delete on %s from public, %s;\n-- or put policies on the table, or make the key restrict", to.sql(), quote(v.session.Role)),
				"Deletes and updates in %s, which has no policies, cascade to every tenant's rows: no policy applies to a cascade.", to.object())
		}
		return
	}
	if from.AttNum == 0 || to.AttNum == 0 || from.Partition || k.pairs(from, to) {
		return
	}
	v.add("foreign-key-without-tenant", from.object()+"."+k.Name, fmt.Sprintf("-- make the key foreign key (%s, ...) references %s (%s, ...)", quote(from.Column), to.sql(), quote(to.Column)),
		"No policy applies to a foreign key: a tenant whose row refers to another tenant's row in %s learns that the row exists.", to.object())
}

// checkLeaky looks for parts of an index that serve no lookup under the policies: an operator
// that is not leakproof may see no row before the policies have passed the row.
func (v *verifier) checkLeaky(t *table, k key, name string) {
	k.Leaky = slices.DeleteFunc(slices.Clone(k.Leaky), func(part string) bool {
		column, _, _ := strings.Cut(part, " (")
		return v.searchedByPolicy(t, column)
	})
	if len(k.Leaky) == 0 || !t.Secured || v.session.bypasses() {
		return
	}
	fix := "-- none: the column's type decides; equality of text, uuid, integers, dates and booleans is leakproof"
	if k.Expressions {
		fix = fmt.Sprintf("-- store the result, and index the stored column:\n-- alter table %s add column computed text generated always as (...) stored;\n-- create index on %[1]s (%s, computed);", t.sql(), quote(t.Column))
	}
	v.add("index-not-leakproof", name, fix,
		"The operators or functions of %s are not leakproof, so no lookup under row-level security uses this part of the index: a statement reads and filters all rows of the tenant.", strings.Join(k.Leaky, ", "))
}

// searchedByPolicy reports whether a policy of the table, or of a parent by inheritance, has a
// condition on the column. The server looks up conditions within a policy by an index, because
// the policy's conditions are all of one security level.
func (v *verifier) searchedByPolicy(t *table, column string) bool {
	for ; t != nil; t = v.byOID[t.Parent] {
		for _, p := range t.policies {
			if p.Permissive && (p.Command == "r" || p.Command == "*") && slices.Contains(p.ColumnNames, column) {
				return true
			}
		}
	}
	return false
}
