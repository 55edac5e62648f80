// Package verification stores requests for verification, verdicts with the evidence, and a
// cache of results. Package verification keeps figures of the verification methods and of the
// quality of evidence.
//
// Everything but the methods belongs to the tenant in the context; row-level security on the
// server isolates tenants. An operator sets up the methods; the figures of a tenant's runs
// belong to the tenant. Errors are of the classes of package modules.
package verification
