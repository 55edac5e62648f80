package rls

import (
	"fmt"
	"strings"
)

// checkSurroundings looks at what the role may do beside the tables.
func (v *verifier) checkSurroundings() {
	s, me := v.around, quote(v.session.Role)
	if v.session.Super {
		return
	}
	if len(s.ServerFunctions) > 0 {
		v.add("role-server-access", v.session.Role, eachLine(s.ServerFunctions, func(name string) string {
			return fmt.Sprintf("revoke execute on function %s from public, %s;", name, me)
		}), "It may call %s, which lead out of the database in the server's own name, past every policy.", strings.Join(s.ServerFunctions, ", "))
	}
	for _, name := range s.ForeignServers {
		v.add("foreign-server", name, fmt.Sprintf("revoke usage on foreign server %s from public, %s;", quote(name), me),
			"The role may work there as whom the user mapping names, which tells no tenants apart and may lead back into this database.")
	}
	if len(s.Statistics) > 0 {
		v.add("role-statistics", v.session.Role, v.revoke(s.Statistics), "%s shows it the statements of all roles as they run, with the values in them.", strings.Join(s.Statistics, ", "))
	}
	if s.LargeObjects {
		v.add("large-objects", v.session.Database, "-- keep them in a bytea column of a tenants' table, and remove them:\n-- select lo_unlink(oid) from pg_largeobject_metadata;",
			"The role may read large objects, for which there are no policies: whoever knows or guesses a number reads another tenant's.")
	}
	if s.CreateSchemas && !v.session.OwnsDatabase {
		v.add("schema-create", v.session.Database, fmt.Sprintf("revoke create on database %s from public, %s;", quote(v.session.Database), me),
			"The role may create schemas: one by the name of another role comes first in that role's search_path, and stands in for what it means.")
	}
	for _, d := range s.Defaults {
		where, in := d.Where, ""
		if where == "" {
			where = d.For
		} else {
			in = " in schema " + quote(where)
		}
		v.add("grant-public", where, fmt.Sprintf("alter default privileges for role %s%s revoke all on tables from public;", quote(d.For), in),
			"Every role of the server gets %s on the tables that %s makes from now on.", d.Privileges, d.For)
	}
}
