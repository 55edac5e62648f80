package rls

import (
	"fmt"
	"slices"
	"strings"
)

// checkPrivileges judges grants that no policy filters.
func (v *verifier) checkPrivileges() {
	if v.session.Super {
		return
	}
	me := quote(v.session.Role)
	var creatable []string
	for _, t := range v.scoped {
		if t.CreateIn && !t.OwnsSchema && !slices.Contains(creatable, t.Schema) {
			creatable = append(creatable, t.Schema)
		}
		if len(t.Public) > 0 {
			v.add("grant-public", t.object(), fmt.Sprintf("revoke all on %s from public;", t.sql()),
				"Every role of the server has %s on the table, future roles included.", strings.Join(t.Public, ", "))
		}
		if t.MayOwn { // checkRole reports an owner, who may do all of the following
			continue
		}
		if t.CanTruncate {
			v.add("privilege-truncate", t.object(), fmt.Sprintf("revoke truncate on %s from %s;", t.sql(), me), "No policy applies to TRUNCATE: the statement deletes every tenant's rows.")
		}
		if t.CanReference {
			v.add("privilege-references", t.object(), fmt.Sprintf("revoke references on %s from %s;", t.sql(), me), "No policy applies to a foreign key: a key of the role shows whether another tenant's key exists, and blocks its deletion.")
		}
		if t.CanTrigger {
			v.add("privilege-trigger", t.object(), fmt.Sprintf("revoke trigger on %s from %s;", t.sql(), me), "A trigger of the role runs with the rights of every writer of the table.")
		}
	}
	for _, t := range v.tables {
		if t.recordsMigrations() && !t.MayOwn && (t.writable() || t.CanTrigger) {
			v.add("migrations-writable", t.object(), fmt.Sprintf("revoke insert, update, delete, truncate, references, trigger on %s from %s, public;", t.sql(), me), "A tenant may have the next start repeat a migration, or leave a migration of the policies out.")
		}
	}
	for _, schema := range creatable {
		v.add("schema-create", schema, fmt.Sprintf("revoke create on schema %s from %s, public;", quote(schema), me), "Objects of the role in the schema may replace the tables and functions that other roles mean.")
	}
	for _, x := range v.attachments {
		v.checkAttachment(x)
	}
}

// checkAttachment judges what is attached to a scoped table: a rule, a publication or a sequence.
func (v *verifier) checkAttachment(x attachment) {
	me := quote(v.session.Role)
	t := v.byOID[x.Table]
	switch x.Kind {
	case "rule":
		v.add("table-rule", t.object()+"."+x.Name, fmt.Sprintf("drop rule %s on %s;", quote(x.Name), t.sql()), "The rule's statements run with the rights of the table's owner %s.", t.Owner)
	case "publication", "publication-all", "publication-schema":
		fix := fmt.Sprintf("alter publication %s drop table %s;", quote(x.Name), t.sql())
		switch x.Kind {
		case "publication-all":
			fix = fmt.Sprintf("drop publication %s; -- and create the publication for some tables", quote(x.Name))
		case "publication-schema":
			fix = fmt.Sprintf("alter publication %s drop tables in schema %s;", quote(x.Name), quote(t.Schema))
		}
		v.add("publication", t.object()+"."+x.Name, fix, "The publication carries every tenant's rows to its subscribers.")
	case "sequence-select":
		if !t.MayOwn {
			v.add("sequence-read", x.Name, fmt.Sprintf("revoke select on sequence %s from %s;", x.Name, me), "The role may read how many rows of %s all tenants have inserted.", t.object())
		}
	case "sequence-update":
		if !t.MayOwn {
			v.add("sequence-update", x.Name, fmt.Sprintf("revoke update on sequence %s from %s;", x.Name, me), "The role may set the sequence back, and every tenant's inserts into %s fail on existing keys.", t.object())
		}
	}
}

// recordsMigrations reports whether a start keeps its applied migrations in the table.
func (t *table) recordsMigrations() bool {
	return t.Schema == "onepool" && (strings.HasSuffix(t.Name, "_versions") || strings.HasSuffix(t.Name, "_sums"))
}

// writable reports whether the role has a right to change rows of the table.
func (t *table) writable() bool { return t.CanInsert || t.CanUpdate || t.CanDelete || t.CanTruncate }
