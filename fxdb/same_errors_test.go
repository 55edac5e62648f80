package fxdb_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// shapeOf is what a program can see of an error: where it came, its type, its class and
// whether pgx wrapped it in a way that errors.As finds.
func shapeOf(where string, err error) string {
	if err == nil {
		return "none"
	}
	var pre pgx.ErrPreprocessingBatch
	sql := ""
	if errors.As(err, &pre) {
		sql = " preprocessing " + pre.SQL() + ": " + err.Error()
	}
	bare, isBare := err.(*pgconn.PgError) //nolint:errorlint // whether it is bare is the question
	if isBare {
		return fmt.Sprintf("%s: bare %s%s", where, bare.Code, sql)
	}
	return fmt.Sprintf("%s: %s safe=%v%s", where, codeOf(err), pgconn.SafeToRetry(err), sql)
}

// alsoBare reports whether a tenant's error is bare and pgx's, of a preparation, is not:
// errors.As finds both.
func alsoBare(pgx, tenant string) bool {
	return !strings.Contains(pgx, "preprocessing") && strings.ReplaceAll(tenant, "bare ", "") == strings.ReplaceAll(pgx, " safe=false", "")
}

func TestATenantsErrorsComeWhereAndAsPgxsDo(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	plain := plainPool(t, db)
	_, err := plain.Exec(within(t), "insert into notes.plain values (1, 'one')")
	require.NoError(t, err)
	type statement struct {
		sql  string
		args []any
	}
	statements := map[string]statement{
		"nothing wrong":        {"select 1", nil},
		"no syntax":            {"selec $1::int", []any{1}},
		"no syntax, no args":   {"selec", nil},
		"no such table":        {"select * from notes.missing where id = $1", []any{1}},
		"at its run":           {"select 1/$1::int", []any{0}},
		"after a row":          {"select 1/(2-g) from generate_series($1::int, 3) g", []any{1}},
		"a duplicate":          {"insert into notes.plain values ($1, 'x')", []any{1}},
		"a duplicate's row":    {"insert into notes.plain values ($1, 'x') returning id", []any{1}},
		"at the commit":        {"insert into notes.plain values ($1, 'one')", []any{2}},
		"too few arguments":    {"select $1::int, $2::int", []any{1}},
		"too many arguments":   {"select $1::int", []any{1, 2}},
		"no such encoding":     {"select $1::int", []any{"x"}},
		"no such encoding 2":   {"select $1::int", []any{struct{}{}}},
		"exec mode, no syntax": {"selec $1::int", []any{pgx.QueryExecModeExec, 1}},
		"exec mode, encoding":  {"select $1::int", []any{pgx.QueryExecModeExec, struct{}{}}},
		"a bad rewriter":       {"select @x", []any{pgx.StrictNamedArgs{"y": 1}}},
		"its backend's end":    {"select pg_terminate_backend(pg_backend_pid(), $1)", []any{0}},
		"an empty one":         {"", nil},
	}
	uses := map[string]func(ctx context.Context, db sender, s statement) string{
		"Exec": func(ctx context.Context, db sender, s statement) string {
			_, err := db.Exec(ctx, s.sql, s.args...)
			return shapeOf("Exec", err)
		},
		"Query": func(ctx context.Context, db sender, s statement) string {
			rows, err := db.Query(ctx, s.sql, s.args...)
			if err != nil {
				rows.Close()
				require.Equal(t, err, rows.Err())
				return shapeOf("Query", err)
			}
			n := 0
			for rows.Next() {
				n++
			}
			return fmt.Sprintf("%d rows, %s, tag %q", n, shapeOf("Rows.Err", rows.Err()), rows.CommandTag())
		},
		"Query, closed": func(ctx context.Context, db sender, s statement) string {
			rows, err := db.Query(ctx, s.sql, s.args...)
			if err != nil {
				return shapeOf("Query", err)
			}
			rows.Close()
			return shapeOf("Rows.Err", rows.Err())
		},
		"QueryRow": func(ctx context.Context, db sender, s statement) string {
			var n any
			err := db.QueryRow(ctx, s.sql, s.args...).Scan(&n)
			return fmt.Sprint(shapeOf("Scan", err), errors.Is(err, pgx.ErrNoRows))
		},
		"SendBatch": func(ctx context.Context, db sender, s statement) string {
			b := &pgx.Batch{}
			b.Queue("select 1")
			b.Queue(s.sql, s.args...)
			return shapeOf("Close", db.SendBatch(ctx, b).Close())
		},
		"SendBatch, read": func(ctx context.Context, db sender, s statement) string {
			b := &pgx.Batch{}
			b.Queue("select 1")
			b.Queue(s.sql, s.args...)
			br := db.SendBatch(ctx, b)
			_, err := br.Exec()
			got := shapeOf("first", err)
			rows, err := br.Query()
			got += "; " + shapeOf("Query", err)
			rows.Close()
			return got + "; " + shapeOf("Rows.Err", rows.Err()) + "; " + shapeOf("Close", br.Close())
		},
		"SendBatch, QueryRow": func(ctx context.Context, db sender, s statement) string {
			b := &pgx.Batch{}
			b.Queue(s.sql, s.args...)
			br := db.SendBatch(ctx, b)
			var n any
			err := br.QueryRow().Scan(&n)
			return fmt.Sprint(shapeOf("Scan", err), errors.Is(err, pgx.ErrNoRows), shapeOf("Close", br.Close()))
		},
	}
	for use, fn := range uses {
		for name, s := range statements {
			if isBatch := strings.HasPrefix(use, "SendBatch"); isBatch && (strings.HasPrefix(name, "exec mode") || s.sql == "") {
				continue // a batch has no modes, and pgx 5.13 waits for ever for the result of an empty statement
			}
			want := fn(within(t), plain, s)
			if got := fn(as(t, "acme"), db, s); got != want && !alsoBare(want, got) {
				t.Errorf("%s, %s:\n pgxpool: %s\n tenant:  %s", use, name, want, got)
			}
		}
	}
}
