// Package agentregistry stores agents for the routing of work: identity, capabilities, running
// averages of the agents' performance, and load. The registry answers capability queries and
// gives statistics.
//
// Everything belongs to the tenant in the context; row-level security on the server isolates
// tenants. Errors are of the classes of package modules.
package agentregistry
