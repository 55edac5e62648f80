// Package pgfault starts real PostgreSQL servers for tests that break them, and
// reads the server's own view of its connections.
package pgfault
