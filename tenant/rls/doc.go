// Package rls keeps tenants apart on the server. [Enable] writes the row-level security
// policies of tables whose rows belong to tenants. [Verify] reads the catalog of a database,
// probes the policies as tenants that do not exist, and reports every path by which a tenant
// reaches the rows of another.
//
// The files of the package have three prefixes beside enable: catalog reads the server's
// catalogs, check judges the catalogs, and probe asks the policies.
//
// The login of a production application is neither superuser nor BYPASSRLS, owns no table, and
// makes no temporary table that hides a real one:
//
//	alter role shop_app set search_path = shop, pg_temp; -- pg_temp last
//	revoke temporary on database shop from public;       -- if no program makes temporary tables
//
// Enable never revokes TEMPORARY: a database may serve other programs.
//
// The package needs a connection only, neither fx nor a pool of this module.
package rls
