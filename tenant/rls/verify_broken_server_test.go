package rls_test

// brokenServer are grants and settings of the server.
var brokenServer = []brokenCase{
	{name: "statistics of statements", ddl: "reset role; create extension pg_stat_statements", code: "statements-readable", level: "warn", object: "public.pg_stat_statements"},
	{name: "statistics of statements by their function", ddl: "reset role; create extension pg_stat_statements; revoke all on pg_stat_statements from public", code: "statements-readable", level: "warn"},
	{name: "statistics of statements for a role that it may become", ddl: `reset role; create extension pg_stat_statements; revoke all on pg_stat_statements from public; revoke execute on function pg_stat_statements(boolean) from public;
		create role $APP_mid; grant $APP_mid to $APP; grant select on pg_stat_statements to $APP_mid`, code: "statements-readable", level: "warn"},

	{name: "a parameter of superusers", ddl: "reset role; grant set on parameter session_replication_role to $APP", code: "role-parameter", level: "warn", object: "session_replication_role"},
	{name: "a parameter for all roles", ddl: "reset role; grant set on parameter log_statement to public", code: "role-parameter", level: "warn", object: "log_statement"},
	{name: "a parameter of the server's by way of another role", ddl: "reset role; create role $APP_mid; grant $APP_mid to $APP; grant alter system on parameter archive_command to $APP_mid", code: "role-parameter", level: "warn", object: "archive_command"},

	{name: "temporary tables first for the role", ddl: "reset role; alter role $APP set search_path = pg_temp, shop", code: "search-path-temporary", level: "warn", object: "role $APP"},
	{name: "temporary tables before another schema", ddl: "reset role; alter role $APP set search_path = shop, pg_temp, public", code: "search-path-temporary", level: "warn", object: "role $APP"},
	{name: "temporary tables first for the database", ddl: `reset role; alter database $DB set search_path = "pg_temp", "$user"`, code: "search-path-temporary", level: "warn", object: "database $DB"},
	{name: "temporary tables first for the role in the database", ddl: "reset role; alter role $APP in database $DB set search_path = PG_TEMP, shop", code: "search-path-temporary", level: "warn", object: "role $APP in database $DB"},
}
