package rls

import (
	"fmt"
	"slices"
	"strings"
)

// checkPrivileges looks at grants that policies do not filter.
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
				"Every role of the server has %s on it, those made tomorrow included.", strings.Join(t.Public, ", "))
		}
		if t.MayOwn { // an owner may do all of this: reported with the role
			continue
		}
		if t.CanTruncate {
			v.add("privilege-truncate", t.object(), fmt.Sprintf("revoke truncate on %s from %s;", t.sql(), me), "TRUNCATE asks no policy: it deletes every tenant's rows.")
		}
		if t.CanReference {
			v.add("privilege-references", t.object(), fmt.Sprintf("revoke references on %s from %s;", t.sql(), me), "A foreign key asks no policy: it tells whether a key of another tenant exists, and keeps it from being deleted.")
		}
		if t.CanTrigger {
			v.add("privilege-trigger", t.object(), fmt.Sprintf("revoke trigger on %s from %s;", t.sql(), me), "A trigger of the role's runs in whoever writes to the table, with their rights.")
		}
	}
	for _, schema := range creatable {
		v.add("schema-create", schema, fmt.Sprintf("revoke create on schema %s from %s, public;", quote(schema), me), "What the role creates there may stand in for the tables and functions that others mean.")
	}
	for _, x := range v.extras {
		t := v.byOID[x.Table]
		switch x.Kind {
		case "rule":
			v.add("table-rule", t.object()+"."+x.Name, fmt.Sprintf("drop rule %s on %s;", quote(x.Name), t.sql()), "What a rule puts in a statement's place runs with the rights of the table's owner %s.", t.Owner)
		case "publication", "publication-all", "publication-schema":
			fix := fmt.Sprintf("alter publication %s drop table %s;", quote(x.Name), t.sql())
			switch x.Kind {
			case "publication-all":
				fix = fmt.Sprintf("drop publication %s; -- and make it for some tables", quote(x.Name))
			case "publication-schema":
				fix = fmt.Sprintf("alter publication %s drop tables in schema %s;", quote(x.Name), quote(t.Schema))
			}
			v.add("publication", t.object()+"."+x.Name, fix, "The publication carries every tenant's rows to its subscribers.")
		case "sequence-select":
			if !t.MayOwn {
				v.add("sequence-read", x.Name, fmt.Sprintf("revoke select on sequence %s from %s;", x.Name, me), "The role may read how many rows of %s all tenants have made so far.", t.object())
			}
		case "sequence-update":
			if !t.MayOwn {
				v.add("sequence-update", x.Name, fmt.Sprintf("revoke update on sequence %s from %s;", x.Name, me), "The role may set the sequence back, and every tenant's inserts into %s fail on keys that exist.", t.object())
			}
		}
	}
}
