package fxdb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

// A queue that holds a transaction for the whole job must learn which limit cuts it.
func TestATransactionThatIdlesTooLongSaysWhichSettingEndedIt(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	patient := db.Named("jobs", fxdb.Timeouts(fxdb.ServerTimeouts{IdleInTransaction: patience}))
	for name, use := range map[string]func(ctx context.Context, tx pgx.Tx) error{
		"Exec": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select 1")
			return err
		},
		"Exec with an argument": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select $1::int", 1)
			return err
		},
		"QueryRow": func(ctx context.Context, tx pgx.Tx) error {
			var n int
			return tx.QueryRow(ctx, "select 1").Scan(&n)
		},
		"SendBatch": func(ctx context.Context, tx pgx.Tx) error {
			b := &pgx.Batch{}
			b.Queue("select 1")
			return tx.SendBatch(ctx, b).Close()
		},
		"CopyFrom": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.CopyFrom(ctx, pgx.Identifier{"notes", "plain"}, []string{"id"}, pgx.CopyFromRows([][]any{{1}}))
			return err
		},
		"Commit": func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) },
	} {
		for who, ctx := range map[string]context.Context{"nobody": within(t), "a tenant": as(t, "acme")} {
			tx, err := patient.Begin(ctx)
			require.NoError(t, err)
			var pid uint32
			// The limit is short from the end of this statement on.
			require.NoError(t, tx.QueryRow(ctx, "select pg_backend_pid(), set_config('idle_in_transaction_session_timeout', '20ms', true)").Scan(&pid, nil))
			require.Eventually(t, func() bool {
				var lives bool
				require.NoError(t, db.QueryRow(within(t), "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&lives))
				return !lives
			}, patience, time.Millisecond)
			err = use(ctx, tx)
			require.ErrorContains(t, err, "DB_IDLE_IN_TX_TIMEOUT_MS", "%s of %s", name, who)
			require.ErrorContains(t, err, "fxdb.Timeouts", "%s of %s", name, who)
			var pgErr *pgconn.PgError
			require.True(t, errors.As(err, &pgErr) && pgErr.Code == "25P03", "%s of %s: %v", name, who, err)
			_ = tx.Rollback(ctx)
		}
	}
}
