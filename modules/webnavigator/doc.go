// Package webnavigator stores fetched pages, a cache of the pages by URL, the rate limits of
// sites, traversals of links as graphs, and the extractions' durations.
//
// All but the rate limits belongs to the tenant in the context; row-level security on the
// server isolates tenants. An operator sets the rate limits for all tenants: a limit of each
// tenant, and a limit of all tenants together, since a site sees a single client. The counted
// requests belong to each tenant. Errors are of the classes of package modules.
package webnavigator
