package testkit

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
)

// Row holds values by column, for [Insert].
type Row map[string]any

// Insert adds rows to a table, named with the schema, as the tenant of ctx, in a single
// transaction. Insert sends a statement for each row: a column that a row leaves out gets the
// column's default.
func Insert(ctx context.Context, t testing.TB, db *fxdb.DB, table string, rows ...Row) {
	t.Helper()
	if len(rows) == 0 {
		return
	}
	err := db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		b := &pgx.Batch{}
		for _, row := range rows {
			sql, args := insertOf(table, row)
			b.Queue(sql, args...)
		}
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		t.Fatalf("testkit: Insert: %s: %v", table, err)
	}
}

func insertOf(table string, row Row) (sql string, args []any) {
	if len(row) == 0 {
		return "insert into " + quoteName(table) + " default values", nil
	}
	var columns, places []string
	for i, column := range slices.Sorted(maps.Keys(row)) {
		columns, places = append(columns, pgx.Identifier{column}.Sanitize()), append(places, fmt.Sprintf("$%d", i+1))
		args = append(args, row[column])
	}
	return fmt.Sprintf("insert into %s (%s) values (%s)", quoteName(table), strings.Join(columns, ", "), strings.Join(places, ", ")), args
}

func quoteName(table string) string { return pgx.Identifier(strings.Split(table, ".")).Sanitize() }

// Fixture runs SQL files of fsys that match the patterns of [fs.Glob], in the order of the files'
// names, as the database's owner. A file may hold several statements, and runs as a single
// transaction. Forced row-level security binds the owner: a file sets
// app.current_tenant before a row of a tenant, as in
// "select set_config('app.current_tenant', 'acme', true)".
func Fixture(t testing.TB, db *fxdb.DB, fsys fs.FS, patterns ...string) {
	t.Helper()
	owner := OwnerPool(t, db)
	for _, pattern := range patterns {
		files, err := fs.Glob(fsys, pattern)
		if err == nil && len(files) == 0 {
			err = fs.ErrNotExist
		}
		if err != nil {
			t.Fatalf("testkit: Fixture: %s: %v", pattern, err)
		}
		for _, file := range files {
			sql, err := fs.ReadFile(fsys, file)
			if err == nil { // without arguments the text goes as a whole, in one transaction
				_, err = owner.Exec(t.Context(), string(sql), pgx.QueryExecModeSimpleProtocol)
			}
			if err != nil {
				t.Fatalf("testkit: Fixture: %s: %v", file, err)
			}
		}
	}
}

// Truncate empties tables, named with the schema, and restarts the tables' sequences, as the
// database's owner. Truncate empties the tables that refer to the tables, too. Without a name
// Truncate empties every table of the database but the version tables of migrations in schema
// onepool: rows that a migration inserted go too.
func Truncate(t testing.TB, db *fxdb.DB, tables ...string) {
	t.Helper()
	owner := OwnerPool(t, db)
	names := make([]string, len(tables))
	for i, table := range tables {
		names[i] = quoteName(table)
	}
	if len(tables) == 0 {
		rows, err := owner.Query(t.Context(), `select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
			where c.relkind in ('r', 'p') and not c.relispartition and n.nspname not in ('onepool', 'pg_catalog', 'information_schema') and n.nspname !~ '^pg_t(oast|emp)'`)
		if err == nil {
			names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			t.Fatalf("testkit: Truncate: %v", err)
		}
	}
	if len(names) == 0 {
		return
	}
	if _, err := owner.Exec(t.Context(), "truncate "+strings.Join(names, ", ")+" restart identity cascade"); err != nil {
		t.Fatalf("testkit: Truncate: %v", err)
	}
}
