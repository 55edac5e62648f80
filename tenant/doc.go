// Package tenant carries the identity of a request. An [Identity] travels in a context. Package fxdb
// sends the identity as settings of the server's transaction, and the row-level security
// policies that package tenant/rls writes read those settings.
//
// The package knows neither pools nor fx.
package tenant
