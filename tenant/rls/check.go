package rls

import "slices"

// check is one thing that Verify looks for. The level and the direction are the
// usual ones; a finding may be milder where less follows from it.
type check struct {
	code      string
	level     Level
	direction Direction
	summary   string
}

// checks are all of them. The codes are an interface: allow-lists hold them.
var checks = []check{
	// The role that the application works as.
	{"role-superuser", LevelError, FailOpen, "the role is a superuser"},
	{"role-bypassrls", LevelError, FailOpen, "the role has BYPASSRLS"},
	{"role-can-bypass", LevelError, FailOpen, "the role may become one that bypasses row-level security"},
	{"role-can-become-owner", LevelError, FailOpen, "the role is a member of a table's owner"},
	{"role-replication", LevelError, FailOpen, "the role may stream the whole server"},
	{"login-bypasses", LevelWarn, FailOpen, "the login that takes the role bypasses row-level security"},
	{"role-owns-table", LevelWarn, FailOpen, "the role owns a tenants' table"},
	{"role-owns-schema", LevelWarn, FailOpen, "the role owns the schema of a tenants' table"},
	{"role-owns-database", LevelWarn, FailOpen, "the role owns the database"},
	{"role-createrole", LevelWarn, FailOpen, "the role may hand out other roles"},
	{"role-server-access", LevelWarn, FailOpen, "the role may read or write the server's files or run its programs"},
	{"role-all-data", LevelNote, FailOpen, "the role may read or write whatever no policy keeps"},
	{"role-statistics", LevelNote, FailOpen, "the role sees everybody's statements"},
	{"foreign-server", LevelWarn, FailOpen, "the role may use another server as somebody"},
	{"large-objects", LevelWarn, FailOpen, "the role may read large objects"},
	{"schema-create", LevelWarn, FailOpen, "the role may create schemas, or objects in that of a tenants' table"},

	// The session.
	{"setting-preset", LevelError, FailOpen, "the role or the database presets the tenant"},
	{"setting-left-over", LevelError, FailOpen, "a connection carries a tenant that nobody set"},
	{"setting-survives", LevelError, FailOpen, "the tenant outlives its transaction"},
	{"row-security-off", LevelWarn, FailClosed, "row_security is off"},
	{"pooler", LevelNote, "", "something stands between the application and the server"},
	{"timeout-off", LevelWarn, "", "the server does not limit how long work may take"},

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
	{"table-unscoped", LevelWarn, FailOpen, "a table refers to a tenants' table and is open to all"},
	{"foreign-table", LevelWarn, FailOpen, "a foreign table can't have row-level security"},
	{"table-rule", LevelWarn, FailOpen, "a rule rewrites statements on a tenants' table"},
	{"trigger-definer", LevelWarn, FailOpen, "a trigger runs as a role that bypasses row-level security"},
	{"trigger-copies", LevelWarn, FailOpen, "a trigger writes to a table that is open to all"},
	{"publication", LevelNote, FailOpen, "a publication carries a tenants' table"},

	// The policies.
	{"policy-immutable", LevelError, FailOpen, "a policy uses an IMMUTABLE function that reads a setting or may do so"},
	{"policy-true", LevelError, FailOpen, "a policy lets every row through"},
	{"policy-ignores-tenant", LevelError, FailOpen, "a policy does not compare the tenant column with the setting"},
	{"policy-other-setting", LevelError, FailClosed, "a policy reads another setting"},
	{"with-check-weak", LevelError, FailOpen, "a WITH CHECK does not hold new rows to the tenant"},
	{"policy-open-without-tenant", LevelError, FailOpen, "a policy lets rows through where no tenant is set"},
	{"policy-open-to-others", LevelError, FailOpen, "a policy lets another tenant's rows through"},
	{"policy-bypass-setting", LevelWarn, FailOpen, "another setting opens a policy"},
	{"policies-ored", LevelWarn, FailOpen, "several policies let rows through, each on its own"},
	{"policy-empty-setting", LevelWarn, FailOpen, "a policy takes an empty setting for a tenant"},
	{"policy-missing-ok", LevelWarn, FailClosed, "a policy raises an error until the setting has been used"},
	{"policy-role-name", LevelWarn, FailOpen, "a policy asks for the role, which all tenants share"},
	{"policy-trusts-table", LevelWarn, FailOpen, "a policy asks a table that every tenant may write to"},
	{"policy-circumstance", LevelWarn, FailOpen, "a policy asks for the connection, the trigger or chance"},
	{"policy-volatile", LevelWarn, "", "a policy calls a VOLATILE function for every row"},
	{"policy-cast-column", LevelWarn, "", "a policy casts the tenant column"},
	{"policy-per-row", LevelWarn, "", "a policy reads the setting for every row"},

	// What was seen on a live connection.
	{"rows-without-tenant", LevelError, FailOpen, "rows are visible where no tenant is set"},
	{"rows-of-others", LevelError, FailOpen, "rows are visible to a tenant that does not exist"},
	{"probe-failed", LevelNote, FailClosed, "a table can't be read where no tenant is set"},
	{"probe-timeout", LevelNote, "", "a table was not probed: it took too long"},

	// Ways around the policies.
	{"view-not-invoker", LevelError, FailOpen, "a view reads as its owner"},
	{"matview", LevelError, FailOpen, "a materialized view stores every tenant's rows"},
	{"function-definer", LevelWarn, FailOpen, "a SECURITY DEFINER function reads as its owner"},
	{"function-search-path", LevelWarn, FailOpen, "a SECURITY DEFINER function has no search_path of its own"},
	{"function-immutable", LevelWarn, FailOpen, "an IMMUTABLE function reads the tenant"},
	{"function-owned", LevelWarn, FailOpen, "the role owns a function that a policy or a trigger calls"},
	{"function-sets-tenant", LevelWarn, FailOpen, "a function brings a tenant or leaves one on the session"},
	{"rule-owner", LevelError, FailOpen, "a rule on something else works on a tenants' table as its owner"},
	{"function-leakproof", LevelWarn, FailOpen, "a function of the database's own is called leakproof"},
	{"privilege-truncate", LevelError, FailOpen, "the role may TRUNCATE a tenants' table"},
	{"privilege-references", LevelWarn, FailOpen, "the role may REFERENCE a tenants' table"},
	{"privilege-trigger", LevelWarn, FailOpen, "the role may put triggers on a tenants' table"},
	{"grant-public", LevelWarn, FailOpen, "a tenants' table is granted to PUBLIC"},
	{"sequence-read", LevelNote, FailOpen, "the role may read how far a tenants' table's sequence is"},
	{"sequence-update", LevelWarn, FailOpen, "the role may set a tenants' table's sequence back"},

	// The shape of the tables.
	{"column-nullable", LevelWarn, FailClosed, "the tenant column may be NULL"},
	{"column-type", LevelWarn, FailClosed, "the tenant column has an unexpected type"},
	{"column-collation", LevelError, FailOpen, "the tenant column's collation takes different tenants for one"},
	{"column-default", LevelWarn, FailOpen, "the tenant column's default hides a missing tenant"},
	{"index-missing", LevelWarn, "", "no index is led by the tenant column"},
	{"index-not-leakproof", LevelNote, "", "an index column can't be used under row-level security"},
	{"unique-without-tenant", LevelWarn, FailOpen, "a unique key spans tenants"},
	{"exclusion-without-tenant", LevelWarn, FailOpen, "an exclusion constraint spans tenants"},
	{"foreign-key-without-tenant", LevelWarn, FailOpen, "a foreign key may point at another tenant's row"},
	{"tenants-listed", LevelNote, FailOpen, "every tenant may read who the others are"},
	{"foreign-key-cascades", LevelError, FailOpen, "a foreign key carries changes over from a table that is open to all"},

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
