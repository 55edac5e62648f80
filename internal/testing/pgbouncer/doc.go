// Package pgbouncer runs PgBouncer for tests: a pooler of one test's own in front of
// a server, gone when the test ends, killed or not.
package pgbouncer
