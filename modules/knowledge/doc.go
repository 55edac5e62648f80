// Package knowledge stores research queries, the search results and responses
// that they produced, a response cache, the health of search providers, and
// entries that are searched by meaning and by text.
//
// All but the providers' health belongs to the tenant in the context; row-level
// security on the server isolates tenants. Errors are of the classes of package
// modules. Embeddings use pgvector where the migrations found it, and exact
// search over arrays where they did not; the results are of the same shape.
package knowledge
