// Package pgfault starts real PostgreSQL servers, breaks the servers for tests, and
// reads a server's own view of the connections.
package pgfault
