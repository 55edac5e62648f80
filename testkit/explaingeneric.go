package testkit

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/scoped"
)

// explainedName is the name of the statement that Plan.Generic prepares.
const explainedName = "onepool_explained"

// explainGeneric plans a prepared statement. With force_generic_plan the values of the
// parameters do not count: null stands for each value. Servers before PostgreSQL 16 have no
// EXPLAIN (GENERIC_PLAN).
func explainGeneric(ctx context.Context, t testing.TB, db *fxdb.DB, sql string, args []any) *Plan {
	t.Helper()
	return explain(ctx, t, db, sql, func(tx pgx.Tx, options string) (string, error) {
		text, _, err := scoped.Rewrite(ctx, tx.Conn(), sql, args)
		if err != nil {
			return "", err
		}
		conn := tx.Conn().PgConn() // the pool would close the connection after EXECUTE
		prepared, err := conn.Prepare(ctx, explainedName, text, nil)
		if err != nil {
			return "", err
		}
		defer func() { _ = conn.Deallocate(ctx, explainedName) }()
		execute := explainedName
		if n := len(prepared.ParamOIDs); n > 0 {
			execute += "(null" + strings.Repeat(", null", n-1) + ")"
		}
		results, err := conn.Exec(ctx, fmt.Sprintf(
			"set local plan_cache_mode = force_generic_plan; explain (verbose, %s) execute %s", options, execute)).ReadAll()
		if err != nil {
			return "", err
		}
		var lines []string
		for _, row := range results[1].Rows {
			lines = append(lines, string(row[0]))
		}
		return strings.Join(lines, "\n"), nil
	})
}
