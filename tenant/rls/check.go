package rls

import "slices"

// check is a rule of Verify. A finding has the level and the direction of its check, or a
// milder level if the consequence is milder.
type check struct {
	code      string
	level     Level
	direction Direction
	summary   string
}

// checks are the rules of Verify. The codes are an interface: allow-lists hold codes.
var checks = []check{
	// The role that the application works as.
	{"role-superuser", LevelError, FailOpen, "the role is a superuser"},
	{"role-bypassrls", LevelError, FailOpen, "the role has BYPASSRLS"},
	{"role-can-bypass", LevelError, FailOpen, "the role may become a role that bypasses row-level security"},
	{"role-can-become-owner", LevelError, FailOpen, "the role is a member of a table's owner"},
	{"role-replication", LevelError, FailOpen, "the role may stream the whole server"},
	{"login-bypasses", LevelWarn, FailOpen, "the login that takes the role bypasses row-level security"},
	{"role-owns-table", LevelWarn, FailOpen, "the role owns a tenants' table"},
	{"role-owns-schema", LevelWarn, FailOpen, "the role owns the schema of a tenants' table"},
	{"role-owns-database", LevelWarn, FailOpen, "the role owns the database"},
	{"role-createrole", LevelWarn, FailOpen, "the role may grant other roles"},
	{"role-server-access", LevelWarn, FailOpen, "the role may read or write the server's files or run its programs"},
	{"role-all-data", LevelNote, FailOpen, "the role may read or write every table without policies"},
	{"role-statistics", LevelNote, FailOpen, "the role sees the statements of all roles"},
	{"role-parameter", LevelWarn, FailOpen, "the role may set parameters that PostgreSQL keeps for superusers"},
	{"statements-readable", LevelWarn, FailOpen, "the role sees the recorded statements of all tenants"},
	{"foreign-server", LevelWarn, FailOpen, "the role may use another server by a user mapping"},
	{"large-objects", LevelWarn, FailOpen, "the role may read large objects"},
	{"schema-create", LevelWarn, FailOpen, "the role may create schemas, or objects in the schema of a tenants' table"},

	// The session.
	{"setting-preset", LevelError, FailOpen, "the role or the database presets the tenant"},
	{"setting-left-over", LevelError, FailOpen, "a new connection already has a tenant"},
	{"setting-survives", LevelError, FailOpen, "the tenant outlives its transaction"},
	{"search-path-temporary", LevelWarn, FailOpen, "a preset search_path finds temporary tables before real ones"},
	{"row-security-off", LevelWarn, FailClosed, "row_security is off"},
	{"pooler", LevelNote, "", "a pooler stands between the application and the server"},
	{"server-version", LevelWarn, FailOpen, "the server's minor version has known defects of row-level security"},
	{"timeout-off", LevelWarn, "", "the server limits no statement, lock wait or idle transaction"},

	// The tables.
	{"tables-none", LevelWarn, FailOpen, "no table belongs to tenants"},
	{"table-missing", LevelError, FailClosed, "a declared table does not exist"},
	{"column-missing", LevelError, FailClosed, "a declared table lacks its tenant column"},
	{"table-rls-off", LevelError, FailOpen, "row-level security is off"},
	{"partition-rls-off", LevelError, FailOpen, "row-level security is off on a partition"},
	{"policies-off", LevelError, FailOpen, "a table has policies, and row-level security is off"},
	{"table-not-forced", LevelError, FailOpen, "row-level security does not bind the owner"},
	{"table-no-policy", LevelWarn, FailClosed, "row-level security is on without a policy"},
	{"command-no-policy", LevelWarn, FailClosed, "a granted command has no policy"},
	{"table-unscoped", LevelError, FailOpen, "a table refers to a tenants' table and has no policies"},
	{"foreign-table", LevelWarn, FailOpen, "a foreign table can't have row-level security"},
	{"table-rule", LevelWarn, FailOpen, "a rule rewrites statements on a tenants' table"},
	{"trigger-definer", LevelWarn, FailOpen, "a trigger runs as a role that bypasses row-level security"},
	{"trigger-copies", LevelWarn, FailOpen, "a trigger writes, or may write, to a table without policies"},
	{"trigger-notifies", LevelError, FailOpen, "a trigger sends rows in notifications"},
	{"publication", LevelNote, FailOpen, "a publication carries a tenants' table"},

	// The policies.
	{"policy-immutable", LevelError, FailOpen, "a policy calls an IMMUTABLE function that may read a setting"},
	{"policy-true", LevelError, FailOpen, "a policy passes every row"},
	{"policy-ignores-tenant", LevelError, FailOpen, "a policy does not compare the tenant column with the setting"},
	{"policy-other-setting", LevelError, FailClosed, "a policy reads another setting"},
	{"with-check-weak", LevelError, FailOpen, "a WITH CHECK does not compare new rows with the tenant"},
	{"policy-open-without-tenant", LevelError, FailOpen, "a policy passes rows in a session without a tenant"},
	{"policy-open-to-others", LevelError, FailOpen, "a policy passes another tenant's rows"},
	{"policy-bypass-setting", LevelWarn, FailOpen, "another setting opens a policy"},
	{"policies-ored", LevelWarn, FailOpen, "the server ORs several policies of one command"},
	{"policy-empty-setting", LevelWarn, FailOpen, "a policy takes an empty setting for a tenant"},
	{"policy-missing-ok", LevelWarn, FailClosed, "a policy raises an error until the setting has been used"},
	{"policy-role-name", LevelWarn, FailOpen, "a policy reads the role's name, and all tenants share the role"},
	{"policy-trusts-table", LevelWarn, FailOpen, "a policy reads a table that every tenant may write"},
	{"policy-circumstance", LevelWarn, FailOpen, "a policy depends on the connection, the trigger or chance"},
	{"policy-volatile", LevelWarn, "", "a policy calls a VOLATILE function for every row"},
	{"policy-cast-column", LevelWarn, "", "a policy casts the tenant column"},
	{"policy-per-row", LevelWarn, "", "a policy reads the setting for every row"},

	// Results of reads on a live connection.
	{"rows-without-tenant", LevelError, FailOpen, "rows are visible without a tenant"},
	{"rows-of-others", LevelError, FailOpen, "rows are visible to a tenant that does not exist"},
	{"probe-failed", LevelNote, FailClosed, "a table can't be read without a tenant"},
	{"probe-timeout", LevelNote, "", "a table was not probed: the read took too long"},

	// Ways around the policies.
	{"view-not-invoker", LevelError, FailOpen, "a view reads as its owner"},
	{"matview", LevelError, FailOpen, "a materialized view stores every tenant's rows"},
	{"function-definer", LevelWarn, FailOpen, "a SECURITY DEFINER function reads as its owner"},
	{"function-search-path", LevelWarn, FailOpen, "a SECURITY DEFINER function has no search_path of its own"},
	{"function-immutable", LevelWarn, FailOpen, "an IMMUTABLE function reads the tenant"},
	{"function-owned", LevelWarn, FailOpen, "the role owns a function that a policy or a trigger calls"},
	{"function-sets-tenant", LevelWarn, FailOpen, "a function sets a tenant for itself or for the session"},
	{"rule-owner", LevelError, FailOpen, "a rule on another relation works on a tenants' table as its owner"},
	{"function-leakproof", LevelWarn, FailOpen, "a user's function is marked leakproof"},
	{"privilege-truncate", LevelError, FailOpen, "the role may TRUNCATE a tenants' table"},
	{"privilege-references", LevelWarn, FailOpen, "the role may REFERENCE a tenants' table"},
	{"privilege-trigger", LevelWarn, FailOpen, "the role may put triggers on a tenants' table"},
	{"migrations-writable", LevelWarn, FailOpen, "the role may change the records of migrations"},
	{"grant-public", LevelWarn, FailOpen, "a tenants' table is granted to PUBLIC"},
	{"sequence-read", LevelNote, FailOpen, "the role may read the last value of a tenants' table's sequence"},
	{"sequence-update", LevelWarn, FailOpen, "the role may set a tenants' table's sequence back"},

	// The shape of the tables.
	{"column-nullable", LevelWarn, FailClosed, "the tenant column may be NULL"},
	{"column-type", LevelWarn, FailClosed, "the tenant column has an unexpected type"},
	{"column-collation", LevelError, FailOpen, "the tenant column's collation takes two tenants for one"},
	{"column-default", LevelWarn, FailOpen, "the tenant column's default hides a missing tenant"},
	{"index-missing", LevelWarn, "", "no index is led by the tenant column"},
	{"index-not-leakproof", LevelNote, "", "row-level security keeps an index column from serving a lookup"},
	{"unique-without-tenant", LevelWarn, FailOpen, "a unique key spans tenants"},
	{"exclusion-without-tenant", LevelWarn, FailOpen, "an exclusion constraint spans tenants"},
	{"foreign-key-without-tenant", LevelWarn, FailOpen, "a foreign key may refer to another tenant's row"},
	{"tenants-listed", LevelNote, FailOpen, "every tenant may read the list of tenants"},
	{"foreign-key-cascades", LevelError, FailOpen, "a foreign key cascades changes from a table without policies"},

	{"allow-unused", LevelNote, "", "an allowance matches nothing"},
}

func checkOf(code string) (check, bool) {
	i := slices.IndexFunc(checks, func(c check) bool { return c.code == code })
	if i < 0 {
		return check{}, false
	}
	return checks[i], true
}

// Codes returns the codes of all checks.
func Codes() []string {
	codes := make([]string, len(checks))
	for i, c := range checks {
		codes[i] = c.code
	}
	return codes
}
