// Package rls keeps tenants apart on the server. [Enable] writes the row-level security
// policies of tables whose rows belong to tenants. [Verify] reads the catalog of a database,
// probes the policies as tenants that do not exist, and reports every path by which a tenant
// reaches the rows of another.
//
// The files of the package have a prefix: enable writes policies, catalog reads the server's
// catalogs, check judges the catalogs, probe asks the policies, and report shows the findings.
//
// The package needs a connection only, neither fx nor a pool of this module.
package rls
