package rls

import (
	"fmt"
	"strings"
)

// checkSurroundings judges the role's rights outside of the tables.
func (v *verifier) checkSurroundings() {
	s, me := v.around, quote(v.session.Role)
	if v.session.Super {
		return
	}
	if len(s.ServerFunctions) > 0 {
		v.add("role-server-access", v.session.Role, eachLine(s.ServerFunctions, func(name string) string {
			return fmt.Sprintf("revoke execute on function %s from public, %s;", name, me)
		}), "The role may call %s, which leave the database as the server's operating system user: no policy applies.", strings.Join(s.ServerFunctions, ", "))
	}
	for _, name := range s.ForeignServers {
		v.add("foreign-server", name, fmt.Sprintf("revoke usage on foreign server %s from public, %s;", quote(name), me),
			"The role works on the foreign server as the user of the mapping, the same user for every tenant; the foreign server may be this server.")
	}
	if len(s.Statistics) > 0 {
		v.add("role-statistics", v.session.Role, v.revoke(s.Statistics), "%s shows the role the running statements of all roles, with the values in their texts.", strings.Join(s.Statistics, ", "))
	}
	for i, shown := range s.Statements {
		if i > 0 && shown.Kind == "function" && s.Statements[0].Kind == "table" {
			break // the view's finding revokes the function too
		}
		v.add("statements-readable", shown.Object, eachLine(statementObjects(s.Statements[i:]), func(object string) string {
			return fmt.Sprintf("revoke all on %s from %s;", object, v.everyRole())
		}), "The role sees the texts of all its statements, and all tenants share the role: each tenant reads the values in another tenant's texts.")
	}
	if s.LargeObjects {
		v.add("large-objects", v.session.Database, "-- keep the objects in a bytea column of a tenants' table, and remove the objects:\n-- select lo_unlink(oid) from pg_largeobject_metadata;",
			"The role may read large objects, which can't have policies: a tenant who knows or guesses a number reads another tenant's object.")
	}
	if s.CreateSchemas && !v.session.OwnsDatabase {
		v.add("schema-create", v.session.Database, fmt.Sprintf("revoke create on database %s from public, %s;", quote(v.session.Database), me),
			"The role may create schemas: a schema with the name of another role comes first in that role's search_path, and its objects hide the real ones.")
	}
	for _, p := range s.Parameters {
		grantees := make([]string, len(p.Grantees))
		for i, name := range p.Grantees {
			if grantees[i] = quote(name); name == "public" {
				grantees[i] = name
			}
		}
		v.add("role-parameter", p.Name, fmt.Sprintf("revoke all on parameter %s from %s;", quoteParameter(p.Name), strings.Join(grantees, ", ")),
			"The role has %s on a parameter that PostgreSQL keeps for superusers: one tenant's statement changes how the server works for all tenants.", p.Privileges)
	}
	v.checkPublicDefaults()
	v.checkPresetPaths()
}

func (v *verifier) checkPublicDefaults() {
	for _, d := range v.around.Defaults {
		where, in := d.Where, ""
		if where == "" {
			where = d.For
		} else {
			in = " in schema " + quote(where)
		}
		v.add("grant-public", where, fmt.Sprintf("alter default privileges for role %s%s revoke all on tables from public;", quote(d.For), in),
			"Every role of the server gets %s on the future tables of %s.", d.Privileges, d.For)
	}
}

// everyRole is PUBLIC and every role that the role may act as, for REVOKE.
func (v *verifier) everyRole() string {
	roles := []string{"public", quote(v.session.Role)}
	for _, m := range v.memberships {
		if !strings.HasPrefix(m.Reached, "pg_") {
			roles = append(roles, quote(m.Reached))
		}
	}
	return strings.Join(roles, ", ")
}

// statementObjects are the objects as REVOKE names them.
func statementObjects(all []statementStatistics) (out []string) {
	for _, s := range all {
		if s.Kind == "function" {
			name, arguments, _ := strings.Cut(s.Object, "(")
			out = append(out, "function "+quoteObject(name)+"("+arguments)
			continue
		}
		out = append(out, quoteObject(s.Object))
	}
	return out
}

// quoteParameter quotes each part of a parameter's name.
func quoteParameter(name string) string {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		parts[i] = quote(part)
	}
	return strings.Join(parts, ".")
}
