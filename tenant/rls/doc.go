// Package rls keeps tenants apart on the server. [Enable] writes the row-level security
// policies of tables whose rows belong to tenants, and [Verify] reads the catalog of a
// database, asks its policies as tenants that nobody is, and reports each way by which a
// tenant reaches the rows of another.
//
// The files of the package have three prefixes beside enable: catalog reads what the server
// says of itself, check judges the catalog, and probe asks the policies.
//
// The package needs a connection only, neither fx nor a pool of this module.
package rls
