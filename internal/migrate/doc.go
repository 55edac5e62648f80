// Package migrate applies goose SQL migrations from several sources to one
// database: one advisory lock around all of them, one version table per source.
package migrate
