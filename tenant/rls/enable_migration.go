package rls

import "strings"

// Migration returns a goose SQL migration with [Enable] as Up and [Disable] as Down. Bad
// arguments make a migration that fails, as in Enable.
func Migration(tables ...Table) string {
	// Goose would cut the DDL at semicolons, and names and bodies may hold semicolons. Goose runs
	// each statement in its transaction.
	return "-- +goose Up\n" + gooseStatement(Enable(tables...)) +
		"\n-- +goose Down\n" + gooseStatement(Disable(tables...))
}

func gooseStatement(sql string) string {
	return "-- +goose StatementBegin\n" + strings.TrimSpace(sql) + "\n-- +goose StatementEnd\n"
}
