// Package migrate applies goose SQL migrations from several sources to a database, under a
// single advisory lock and with a version table per source.
package migrate
