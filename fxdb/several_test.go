package fxdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// execer is what runs a statement.
type execer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// Options are not parameters: pgx sends a text without parameters as it is, however many
// statements it has.
func TestOptionsAreNoParametersOfSeveralStatements(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	inMode := func(mode string) func(*pgxpool.Config) {
		return func(pc *pgxpool.Config) {
			for name, m := range map[string]pgx.QueryExecMode{"simple_protocol": pgx.QueryExecModeSimpleProtocol, "exec": pgx.QueryExecModeExec} {
				if name == mode {
					pc.ConnConfig.DefaultQueryExecMode = m
				}
			}
		}
	}
	for _, mode := range []string{"cache_statement", "simple_protocol", "exec"} {
		own := another(t, db, "&default_query_exec_mode="+mode)
		plain := plainPool(t, db, inMode(mode))
		for name, args := range map[string][]any{
			"nothing":                   nil,
			"a mode":                    {pgx.QueryExecModeExec},
			"another mode":              {pgx.QueryExecModeCacheStatement},
			"the simple mode":           {pgx.QueryExecModeSimpleProtocol},
			"no named arguments":        {pgx.NamedArgs{}},
			"a mode and no arguments":   {pgx.QueryExecModeDescribeExec, pgx.NamedArgs{}},
			"unused named arguments":    {pgx.NamedArgs{"x": 1}},
			"a parameter":               {1},
			"a parameter, simple":       {pgx.QueryExecModeSimpleProtocol, 1},
			"a named parameter, simple": {pgx.QueryExecModeSimpleProtocol, pgx.NamedArgs{"n": 1}},
		} {
			sql := "create temp table several (n int) on commit drop; insert into several values (1), (2)"
			if len(args) > 0 {
				switch last := args[len(args)-1].(type) {
				case int:
					sql = "create temp table several (n int) on commit drop; insert into several values ($1), (2)"
				case pgx.NamedArgs:
					if last["n"] != nil {
						sql = "create temp table several (n int) on commit drop; insert into several values (@n), (2)"
					}
				}
			}
			run := func(ctx context.Context, db execer) (string, string) {
				tag, err := db.Exec(ctx, sql, args...)
				return tag.String(), codeOf(err)
			}
			plainTag, plainCode := run(within(t), plain)
			tag, code := run(as(t, "acme"), own)
			require.Equal(t, plainTag+plainCode, tag+code, "%s, pool in mode %s", name, mode)
		}
		var got string
		require.NoError(t, own.QueryRow(t.Context(), tenantSetting).Scan(&got))
		require.Empty(t, got, mode)
	}
}

// A text that says what its transaction is needs no BEGIN in pgx.
func TestSeveralStatementsMaySetTheirTransaction(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	const sql = "set transaction isolation level serializable; do $$ begin assert current_setting('transaction_isolation') = 'serializable'; end $$"
	_, err := plainPool(t, db).Exec(within(t), sql)
	require.NoError(t, err)
	_, err = db.Exec(as(t, "acme"), sql)
	require.NoError(t, err)
	require.Zero(t, db.Stats().Active)
}
