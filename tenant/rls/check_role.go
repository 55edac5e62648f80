package rls

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/tenant"
)

// checkSession judges the settings of the connection, and looks for a pooler.
func (v *verifier) checkSession(conn *pgx.Conn) {
	s := v.session
	for _, where := range s.Presets {
		v.add("setting-preset", where, fmt.Sprintf("alter %s reset %s;", presetOwner(where), tenant.TenantSetting),
			"Every session of %s starts as a tenant: work without an identity reads and writes that tenant's rows.", where)
	}
	if s.Tenant != "" && len(s.Presets) == 0 {
		v.add("setting-left-over", tenant.TenantSetting, fmt.Sprintf("-- set the tenant for a transaction only:\nselect set_config('%s', $1, true);", tenant.TenantSetting),
			"The session of the connection already had a tenant: work without an identity, or of another tenant, runs as that tenant.")
	}
	if !s.RowSecurity {
		v.add("row-security-off", "row_security", fmt.Sprintf("alter role %s reset row_security;", quote(s.Login)),
			"Every statement on a table with policies fails.")
	}
	if len(s.TimeoutsOff) > 0 {
		level := LevelWarn
		if slices.Equal(s.TimeoutsOff, []string{"lock_timeout"}) {
			level = LevelNote // a wait for a lock ends with the statement
		}
		v.addAs(level, "", "timeout-off", s.Login, "-- set DB_STATEMENT_TIMEOUT_MS and the other timeouts, or:\n"+eachLine(s.TimeoutsOff, func(name string) string {
			return fmt.Sprintf("alter role %s set %s = '60s';", quote(s.Login), name)
		}), "%s is 0: one tenant's statement or transaction may block all other tenants.", strings.Join(s.TimeoutsOff, ", "))
	}
	if conn == nil {
		return
	}
	const fix = "-- no change is needed if each transaction sets its own settings"
	switch {
	case conn.PgConn().PID() != 0 && conn.PgConn().PID() != s.BackendPID:
		v.add("pooler", s.Database, fix, "A pooler answers for the server: clients share sessions, and a setting of a session reaches other clients.")
	case !keeps(s.Application, conn.Config().RuntimeParams["application_name"]):
		v.add("pooler", s.Database, fix, "The connection asked for the application_name %q and has %q: a pooler drops the settings of a session, or shares sessions.", conn.Config().RuntimeParams["application_name"], s.Application)
	}
}

// keeps reports whether the server has the application_name that the connection asked for.
// Clients of fxdb add their own name, and the server cuts long names and replaces characters.
func keeps(has, asked string) bool {
	own := strings.ContainsFunc(asked, func(r rune) bool { return r < ' ' || r > '~' }) || len(asked) > maxName
	return asked == "" || own || has == asked || strings.HasPrefix(has, asked+"/")
}

// allRoles is the place of a preset by ALTER ROLE ALL.
const allRoles = "all roles"

// presetOwner is the "role x" or "database x" of ALTER, quoted.
func presetOwner(where string) string {
	if where == allRoles {
		return "role all"
	}
	kind, name, _ := strings.Cut(where, " ")
	role, database, both := strings.Cut(name, " in database ")
	if both {
		return fmt.Sprintf("role %s in database %s", quote(role), quote(database))
	}
	return kind + " " + quote(name)
}

func eachLine(names []string, line func(string) string) string {
	lines := make([]string, len(names))
	for i, name := range names {
		lines[i] = line(name)
	}
	return strings.Join(lines, "\n")
}

// checkRole judges the role's attributes and memberships.
func (v *verifier) checkRole() {
	s, role := v.session, v.session.Role
	me := quote(role)
	if s.Login != role && s.LoginBypasses {
		v.add("login-bypasses", s.Login, unprivileged(s.Login, "nosuperuser nobypassrls", s.LoginFirst),
			"A session that resets the role, and every bare connection, works as %s, whom no policy binds: the session sees every tenant's rows.", s.Login)
	}
	if s.Super {
		v.add("role-superuser", role, unprivileged(role, "nosuperuser", s.First), "No policy binds a superuser, forced or not: the role sees every tenant's rows.")
		return
	}
	if s.Bypass {
		v.add("role-bypassrls", role, fmt.Sprintf("alter role %s nobypassrls;", me), "No policy binds the role, forced or not: the role sees every tenant's rows.")
	}
	if len(s.BecomesBypass) > 0 {
		v.add("role-can-bypass", role, v.revoke(s.BecomesBypass), "SET ROLE makes the role %s, which no policy binds.", strings.Join(s.BecomesBypass, " or "))
	}
	if s.Replication {
		v.add("role-replication", role, fmt.Sprintf("alter role %s noreplication;", me), "The role may copy the whole server, every tenant's rows included.")
	}
	if s.CreateRole {
		v.add("role-createrole", role, fmt.Sprintf("alter role %s nocreaterole;", me), "The role may make itself a member of other roles, the tables' owner included.")
	}
	if len(s.ServerAccess) > 0 {
		v.add("role-server-access", role, v.revoke(s.ServerAccess), "%s lets the role read the server's files or run programs on the server: no policy applies.", strings.Join(s.ServerAccess, ", "))
	}
	if len(s.AllData) > 0 {
		v.add("role-all-data", role, v.revoke(s.AllData), "%s gives the role every table and view of the database, future ones included: every table without policies is open to the role.", strings.Join(s.AllData, ", "))
	}
	var owners, owned, schemas []string
	for _, t := range v.scoped {
		switch {
		case t.Owned && !slices.Contains(owned, t.object()):
			owned = append(owned, t.object())
		case t.MayOwn && !t.Owned && !slices.Contains(owners, t.Owner):
			owners = append(owners, t.Owner)
		}
		if t.OwnsSchema && !slices.Contains(schemas, t.Schema) {
			schemas = append(schemas, t.Schema)
		}
	}
	if s.OwnsDatabase && len(owners) == 0 {
		v.add("role-owns-database", role, fmt.Sprintf("alter database %s owner to another_role;", quote(s.Database)), "The role may drop the database and grant itself every right in the database.")
	}
	// The owner of the tables mostly owns the schemas too: one finding is enough.
	switch {
	case len(owners) > 0:
		v.add("role-can-become-owner", role, v.revoke(owners), "As a member of %s, the owner of tenants' tables, the role may switch row-level security off.", strings.Join(owners, ", "))
	case len(owned) > 0:
		v.add("role-owns-table", role, eachLine(owned, func(name string) string {
			return fmt.Sprintf("alter table %s owner to another_role;", quoteObject(name))
		}), "The role, and so injected SQL, may switch row-level security off on %s.", strings.Join(owned, ", "))
	default:
		for _, name := range schemas {
			v.add("role-owns-schema", name, fmt.Sprintf("alter schema %s owner to another_role;", quote(name)), "The role may drop the schema and its tables, and grant itself every right in the schema.")
		}
	}
}

// unprivileged takes a role's attributes away. The superuser that initdb made administers the
// server and must keep its attributes: the application connects as another role instead.
func unprivileged(role, without string, first bool) string {
	if !first {
		return fmt.Sprintf("alter role %s %s;", quote(role), without)
	}
	return "-- the server's first superuser keeps its rights: grant the application's rights to a new role, and connect as the new role\n" +
		"create role another_role login nosuperuser nobypassrls;"
}

// revoke revokes the memberships that lead to the roles.
func (v *verifier) revoke(roles []string) string {
	var direct []string
	for _, m := range v.memberships {
		if slices.Contains(roles, m.Reached) && !slices.Contains(direct, m.Direct) {
			direct = append(direct, m.Direct)
		}
	}
	return eachLine(direct, func(role string) string {
		return fmt.Sprintf("revoke %s from %s;", quote(role), quote(v.session.Role))
	})
}

// quoteObject quotes schema.table as Finding.Object writes it.
func quoteObject(object string) string {
	schema, name, _ := strings.Cut(object, ".")
	return pgx.Identifier{schema, name}.Sanitize()
}
