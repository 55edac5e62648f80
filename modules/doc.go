// Package modules holds what the agency's database clients share: the classes
// of their errors, the checks of what they are given, their handle on the pool,
// the check of their schema, and what their caches have in common. Each client is
// a package below it and an fx module of its own, usable alone or with the others.
// Join makes calls of several clients one transaction. There is no table of tenants
// that the clients' tables refer to: no client may need another's schema, and who is a
// tenant is for the application to say.
package modules
