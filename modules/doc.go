// Package modules holds what the agency's database clients share: the classes
// of their errors, the checks of what they are given, their handle on the pool,
// the check of their schema, and what their caches have in common. Each client is
// a package below it and an fx module of its own, usable alone or with the others.
// Join makes calls of several clients one transaction.
package modules
