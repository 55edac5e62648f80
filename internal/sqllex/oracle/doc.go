// Package oracle compares package sqllex with PostgreSQL's own parser, as a library. It
// is a module of its own for that library's sake, and has only tests.
package oracle
