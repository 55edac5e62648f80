package rls

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/tenant"
)

// checkSession looks at the connection: what is set on it, and who answers.
func (v *verifier) checkSession(conn *pgx.Conn) {
	s := v.session
	for _, where := range s.Presets {
		v.add("setting-preset", where, fmt.Sprintf("-- alter role or database, whichever it is:\nalter %s reset %s;", presetOwner(where), tenant.TenantSetting),
			"Every session of %s starts as a tenant, so that work without an identity reads and writes that tenant's rows.", where)
	}
	if s.Tenant != "" && len(s.Presets) == 0 {
		v.add("setting-left-over", tenant.TenantSetting, fmt.Sprintf("-- set it for a transaction only:\nselect set_config('%s', $1, true);", tenant.TenantSetting),
			"The connection came with a tenant set on its session, so that work without an identity, or another's, runs as that tenant.")
	}
	if !s.RowSecurity {
		v.add("row-security-off", "row_security", fmt.Sprintf("alter role %s reset row_security;", quote(s.Login)),
			"Every statement that a policy would filter fails instead.")
	}
	if len(s.TimeoutsOff) > 0 {
		level := LevelWarn
		if slices.Equal(s.TimeoutsOff, []string{"lock_timeout"}) {
			level = LevelNote // a wait for a lock ends with the statement
		}
		v.addAs(level, "", "timeout-off", s.Login, "-- set DB_STATEMENT_TIMEOUT_MS and its like, or:\n"+eachLine(s.TimeoutsOff, func(name string) string {
			return fmt.Sprintf("alter role %s set %s = '60s';", quote(s.Login), name)
		}), "There is no limit in %s: one tenant's statement or transaction may hold up all others.", strings.Join(s.TimeoutsOff, ", "))
	}
	if conn == nil {
		return
	}
	const fix = "-- none is needed when every setting is made in the transaction that uses it"
	switch {
	case conn.PgConn().PID() != 0 && conn.PgConn().PID() != s.BackendPID:
		v.add("pooler", s.Database, fix, "A pooler answers for the server: a session is shared, and what is set on it reaches other clients.")
	case !keeps(s.Application, conn.Config().RuntimeParams["application_name"]):
		v.add("pooler", s.Database, fix, "The connection asked to be called %q and is %q: what stands between does not keep what a session sets, or shares it.", conn.Config().RuntimeParams["application_name"], s.Application)
	}
}

// keeps reports whether the server calls a connection what it asked to be called.
// Clients of fxdb add their own name, and the server cuts and replaces what it
// can't have.
func keeps(has, asked string) bool {
	own := strings.ContainsFunc(asked, func(r rune) bool { return r < ' ' || r > '~' }) || len(asked) > maxName
	return asked == "" || own || has == asked || strings.HasPrefix(has, asked+"/")
}

// allRoles is where ALTER ROLE ALL sets, as the session is read.
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

// checkRole looks at the role's powers, apart from grants on tables.
func (v *verifier) checkRole() {
	s, role := v.session, v.session.Role
	me := quote(role)
	if s.Login != role && s.LoginBypasses {
		v.add("login-bypasses", s.Login, unprivileged(s.Login, "nosuperuser nobypassrls", s.LoginFirst),
			"What resets the role, or has a bare connection, works as %s, whom no policy binds: it sees every tenant's rows.", s.Login)
	}
	if s.Super {
		v.add("role-superuser", role, unprivileged(role, "nosuperuser", s.First), "No policy binds a superuser, forced or not: it sees every tenant's rows.")
		return
	}
	if s.Bypass {
		v.add("role-bypassrls", role, fmt.Sprintf("alter role %s nobypassrls;", me), "No policy binds the role, forced or not: it sees every tenant's rows.")
	}
	if len(s.BecomesBypass) > 0 {
		v.add("role-can-bypass", role, v.revoke(s.BecomesBypass), "SET ROLE makes it %s, which no policy binds.", strings.Join(s.BecomesBypass, " or "))
	}
	if s.Replication {
		v.add("role-replication", role, fmt.Sprintf("alter role %s noreplication;", me), "It may copy the whole server, every tenant's rows included.")
	}
	if s.CreateRole {
		v.add("role-createrole", role, fmt.Sprintf("alter role %s nocreaterole;", me), "It may make itself a member of other roles, the tables' owner among them.")
	}
	if len(s.ServerAccess) > 0 {
		v.add("role-server-access", role, v.revoke(s.ServerAccess), "%s lets it read the server's files or run programs there, past every policy.", strings.Join(s.ServerAccess, ", "))
	}
	if len(s.AllData) > 0 {
		v.add("role-all-data", role, v.revoke(s.AllData), "%s gives it every table and view of the database, those made tomorrow included: what no policy keeps is open to it.", strings.Join(s.AllData, ", "))
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
		v.add("role-owns-database", role, fmt.Sprintf("alter database %s owner to another_role;", quote(s.Database)), "It may drop the database and grant itself what it lacks in it.")
	}
	// The owner of the tables mostly owns their schemas: one finding is enough.
	switch {
	case len(owners) > 0:
		v.add("role-can-become-owner", role, v.revoke(owners), "As a member of %s, the owner of tenants' tables, it may switch row-level security off.", strings.Join(owners, ", "))
	case len(owned) > 0:
		v.add("role-owns-table", role, eachLine(owned, func(name string) string {
			return fmt.Sprintf("alter table %s owner to another_role;", quoteObject(name))
		}), "It may switch row-level security off on %s: injected SQL could, too.", strings.Join(owned, ", "))
	default:
		for _, name := range schemas {
			v.add("role-owns-schema", name, fmt.Sprintf("alter schema %s owner to another_role;", quote(name)), "The role may drop the schema and its tables, and grant itself what it lacks in it.")
		}
	}
}

// unprivileged takes a role's powers away. The superuser that initdb made must keep them,
// and administers the server: the application connects as another role instead.
func unprivileged(role, without string, first bool) string {
	if !first {
		return fmt.Sprintf("alter role %s %s;", quote(role), without)
	}
	return "-- the server's first superuser keeps its rights: grant another role what the application needs, and connect as it\n" +
		"create role another_role login nosuperuser nobypassrls;"
}

// revoke takes away the memberships that lead to the roles.
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
