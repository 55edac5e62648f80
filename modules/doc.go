// Package modules holds the shared parts of the agency's database clients: the classes of
// errors, the checks of arguments, the handle on the pool, the check of the schema, and the base
// of the caches. Each client is a package below modules and an fx module, usable alone or with
// further clients. [Join] makes calls of several clients a single transaction. The clients'
// tables refer to no table of tenants: no client may need another client's schema, and the
// application decides who is a tenant.
package modules
