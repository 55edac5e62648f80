// Package modules holds the names that a caller of the agency's database clients meets: the
// classes of errors, pages of a list, the figures of a cache, and [Join], with which calls of
// several clients become a single transaction. Each client is a package below modules and an fx
// module, usable alone or with further clients.
//
// The clients' tables refer to no table of tenants: no client may need another client's schema,
// and the application decides who is a tenant.
package modules
