package fxdb_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// sender has the ways in which a pool sends a statement.
type sender interface {
	execer
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

func TestTooManyParametersAreRefusedInPgxsWords(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	plain := plainPool(t, db)
	args := make([]any, 65_536)
	for i := range args {
		args[i] = i
	}
	sql := "select count(*) from unnest(array[$1::int" + strings.Repeat(", 1", 9) + "])"
	for name, use := range map[string]func(ctx context.Context, db sender, args []any) error{
		"Exec": func(ctx context.Context, db sender, args []any) error {
			_, err := db.Exec(ctx, sql, args...)
			return err
		},
		"Exec, mode exec": func(ctx context.Context, db sender, args []any) error {
			_, err := db.Exec(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
			return err
		},
		"Query": func(ctx context.Context, db sender, args []any) error {
			rows, err := db.Query(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...)
			if err != nil {
				return err
			}
			rows.Close()
			return rows.Err()
		},
		"QueryRow": func(ctx context.Context, db sender, args []any) error {
			var n int
			return db.QueryRow(ctx, sql, append([]any{pgx.QueryExecModeExec}, args...)...).Scan(&n)
		},
		"SendBatch": func(ctx context.Context, db sender, args []any) error {
			b := &pgx.Batch{}
			b.Queue(sql, args...)
			return db.SendBatch(ctx, b).Close()
		},
	} {
		want := use(within(t), plain, args)
		require.Error(t, want, name)
		t.Logf("%s: %v", name, want)
		require.EqualError(t, use(as(t, "acme"), db, args), want.Error(), name)
		require.NoError(t, use(as(t, "acme"), db, args[:1]), "the connection is fit for the next statement")
	}
}
