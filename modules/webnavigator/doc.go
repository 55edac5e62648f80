// Package webnavigator stores the pages that were fetched, a cache of them by URL,
// the rate limits of sites, traversals of links as graphs, and how long the
// extractions took.
//
// All but the rate limits belongs to the tenant in the context; row-level
// security on the server isolates tenants. A site sees one client and not many
// tenants, so its rate limit is the same for all. Errors are of the classes of
// package modules.
package webnavigator
