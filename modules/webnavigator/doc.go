// Package webnavigator stores the pages that were fetched, a cache of them by URL,
// the rate limits of sites, traversals of links as graphs, and how long the
// extractions took.
//
// All but the rate limits belongs to the tenant in the context; row-level
// security on the server isolates tenants. The rate limits are an operator's, for all
// tenants: one of each tenant, and one of all tenants together, since a site sees one
// client. The requests that are counted are each tenant's own. Errors are of the classes
// of package modules.
package webnavigator
