// Package verification stores requests to verify something, their verdicts with
// the evidence, and a cache of results. It keeps figures of the verification
// methods and of the quality of evidence.
//
// Everything but the methods belongs to the tenant in the context; row-level
// security on the server isolates tenants. The methods are an operator's to set up; what
// became of their runs is each tenant's own. Errors are of the classes of package
// modules.
package verification
