package rls

import "strings"

// Migration returns a whole goose SQL migration: Enable is its Up, Disable its
// Down. Bad arguments make a migration that fails as Enable says.
func Migration(tables ...Table) string {
	// One statement each: goose would cut them at semicolons, and names and
	// bodies may hold those. It runs both in its transaction.
	return "-- +goose Up\n" + gooseStatement(Enable(tables...)) +
		"\n-- +goose Down\n" + gooseStatement(Disable(tables...))
}

func gooseStatement(sql string) string {
	return "-- +goose StatementBegin\n" + strings.TrimSpace(sql) + "\n-- +goose StatementEnd\n"
}
