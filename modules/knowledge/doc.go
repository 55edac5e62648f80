// Package knowledge stores research queries, search results, responses, and a response cache.
// Package knowledge also stores the health of search providers, and entries for searches by
// meaning and by text.
//
// All but the providers' health belongs to the tenant in the context; row-level security on the
// server isolates tenants. Errors are of the classes of package modules. Embeddings use
// pgvector if the migrations found pgvector, and exact search over arrays if not; the results
// are of the same shape.
package knowledge
