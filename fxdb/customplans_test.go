package fxdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// plansOf returns how often the connection executed a statement with a generic plan and with a
// custom plan.
func plansOf(t *testing.T, db *fxdb.DB, sql string) (generic, custom int) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), "select sum(generic_plans), sum(custom_plans) from pg_prepared_statements where statement = $1", sql).
		Scan(&generic, &custom))
	return generic, custom
}

// The server takes a generic plan from the sixth execution on, and takes none with CustomPlans.
func TestCustomPlansOutlastTheFifthExecution(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"a tenant", "no tenant"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			base := t.Context()
			if who == "a tenant" {
				base = as(t, "acme")
			}
			db := notesDB(t, testkit.Config(one))
			const runs = 9
			for way, run := range map[string]func(ctx context.Context, sql string) error{
				"QueryRow": func(ctx context.Context, sql string) error {
					var n int
					return db.QueryRow(ctx, sql, 1).Scan(&n)
				},
				"Exec": func(ctx context.Context, sql string) error { _, err := db.Exec(ctx, sql, 1); return err },
				"SendBatch": func(ctx context.Context, sql string) error {
					b := &pgx.Batch{}
					b.Queue(sql, 1)
					return db.SendBatch(ctx, b).Close()
				},
				"InTx": func(ctx context.Context, sql string) error {
					return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(t.Context(), sql, 1); return err })
				},
			} {
				auto := "select count(*)::int from notes.notes where id = $1 and 'auto' <> '" + way + "'"
				own := "select count(*)::int from notes.notes where id = $1 and 'custom' <> '" + way + "'"
				for range runs {
					require.NoError(t, run(base, auto), way)
					require.NoError(t, run(fxdb.CustomPlans(base), own), way)
				}
				generic, custom := plansOf(t, db, auto)
				require.Equal(t, [2]int{runs - 5, 5}, [2]int{generic, custom}, "%s: without CustomPlans", way)
				generic, custom = plansOf(t, db, own)
				require.Equal(t, [2]int{0, runs}, [2]int{generic, custom}, "%s: with CustomPlans", way)
			}
			requireClean(t, db)
		})
	}
}

func TestCustomPlansTakeNoMoreFlights(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	db := w.openToCount(t)
	for who, base := range map[string]context.Context{"a tenant": as(t, "acme"), "no tenant": t.Context()} {
		ctx := fxdb.CustomPlans(base)
		for way, c := range map[string]struct {
			flights int64
			run     func() error
		}{
			"QueryRow":  {1, func() error { var n int; return db.QueryRow(ctx, "select $1::int", 1).Scan(&n) }},
			"Exec":      {1, func() error { _, err := db.Exec(ctx, "select 1"); return err }},
			"SendBatch": {1, func() error { return batchOf(ctx, db, "select 1", "select 2") }},
			"InTx": {2, func() error {
				return db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { _, err := tx.Exec(ctx, "select 1"); return err })
			}},
		} {
			require.NoError(t, c.run(), way) // prepares
			require.Equal(t, c.flights, w.during(t, c.run), "%s with %s", way, who)
		}
	}
}

// A text that can't run behind a scope runs as without CustomPlans.
func TestCustomPlansLeaveOtherTextsAlone(t *testing.T) {
	t.Parallel()
	db := notesDB(t)
	ctx := fxdb.CustomPlans(t.Context())
	_, err := db.Exec(ctx, "select 1; select 2")
	require.NoError(t, err)
	_, err = db.Exec(ctx, "vacuum notes.plain") // a warning, as the login does not own the table
	require.NoError(t, err)
}
