// Package agentregistry stores the agents that work can be routed to: identity,
// capabilities, running averages of their performance, and their load. It
// answers capability queries and gives statistics.
//
// Everything belongs to the tenant in the context; row-level security on the
// server isolates tenants. Errors are of the classes of package modules.
package agentregistry
