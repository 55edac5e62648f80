package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

// hasTransactionTimeout reports whether the server is PostgreSQL 17 or newer.
func hasTransactionTimeout(db *fxdb.DB) bool { return db.Monitor().ServerVersion() >= 170000 }

// The server ends a transaction that outlives its limit, while the caller does something else.
// A server before PostgreSQL 17 has no such limit, and gets no setting.
func TestTheServerEndsATransactionThatOutlivesItsLimit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config fxdb.Config
		client fxdb.ServerTimeouts
		within time.Duration // of InTx; 0: no deadline
	}{
		"the deadline of InTx": {within: 50 * time.Millisecond},
		"the client's":         {client: fxdb.ServerTimeouts{Transaction: 50 * time.Millisecond}},
		"the pool's":           {config: fxdb.Config{TransactionTimeout: 50 * time.Millisecond}},
		"the client's, before the deadline": {
			client: fxdb.ServerTimeouts{Transaction: 50 * time.Millisecond}, within: time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			look := notesDB(t)
			c.config.URL, c.config.PoolMax = look.Pool().Config().ConnString(), 1
			db, err := fxdb.Open(within(t), c.config)
			require.NoError(t, err)
			defer db.Close(context.Background())
			client := db.Named("reports", fxdb.Timeouts(c.client))
			for _, ctx := range []context.Context{t.Context(), as(t, "acme")} {
				begin := ctx
				if c.within > 0 {
					var cancel func()
					begin, cancel = context.WithTimeout(ctx, c.within)
					defer cancel()
				}
				err := client.InTx(begin, pgx.TxOptions{}, func(tx pgx.Tx) error {
					var pid uint32
					var limit *string
					err := tx.QueryRow(ctx, "select pg_backend_pid(), current_setting('transaction_timeout', true)").Scan(&pid, &limit)
					if err != nil { // the server is slow, and the limit is over
						return err
					}
					if !hasTransactionTimeout(db) {
						require.Nil(t, limit)
						return nil
					}
					require.Eventually(t, func() bool {
						var lives bool
						require.NoError(t, look.QueryRow(within(t), "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&lives))
						return !lives
					}, patience, time.Millisecond)
					_, err = tx.Exec(ctx, "select 1")
					return err
				})
				switch {
				case hasTransactionTimeout(db):
					require.Error(t, err)
					if codeOf(err) == "25P04" { // a write may meet the closed socket before the server's message
						require.ErrorContains(t, err, "DB_TRANSACTION_TIMEOUT_MS")
					}
				case c.within != 50*time.Millisecond: // else COMMIT may come too late
					require.NoError(t, err)
				}
				require.NoError(t, client.Ping(within(t)), "the pool goes on")
			}
		})
	}
}

func TestATransactionsLimitTakesNoFlight(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	db := w.openToCount(t)
	for who, base := range map[string]context.Context{"a tenant": as(t, "acme"), "no tenant": t.Context()} {
		soon, cancel := context.WithTimeout(base, 20*time.Second)
		defer cancel()
		var limit *string
		one := func() error {
			return db.InTx(soon, pgx.TxOptions{}, func(tx pgx.Tx) error {
				return tx.QueryRow(base, "select current_setting('transaction_timeout', true)").Scan(&limit)
			})
		}
		require.NoError(t, one())
		require.EqualValues(t, 2, w.during(t, one), who)
		if hasTransactionTimeout(db) {
			require.NotEqual(t, "0", *limit, who)
		}
		// Begin may outlive its context.
		tx, err := db.Begin(soon)
		require.NoError(t, err)
		require.NoError(t, tx.QueryRow(base, "select current_setting('transaction_timeout', true)").Scan(&limit))
		require.NoError(t, tx.Rollback(t.Context()))
		if hasTransactionTimeout(db) {
			require.Equal(t, "0", *limit, who)
		}
	}
	require.Equal(t, "30s", settingOf(t, db, t.Context(), "statement_timeout"))
}

func TestATransactionTimeoutIsASetting(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://h/d")
	t.Setenv("DB_TRANSACTION_TIMEOUT_MS", "1500")
	cfg, err := fxdb.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, 1500*time.Millisecond, cfg.TransactionTimeout)
}
