package fxdb_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// leavesTenant is a function that sets a tenant for its session, which no text shows.
const leavesTenant = `create function notes.leave() returns void language plpgsql as $$
	begin perform set_config('app.current_tenant', 'acme', false); end $$`

func TestATenantThatAFunctionLeavesOnTheSessionReachesNobody(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	// The empty identity of a statement protects also without the session check.
	db := notesDB(t, testkit.Config(one), testkit.Config(func(c *fxdb.Config) { c.SessionCheck = false }))
	_, err := testkit.OwnerPool(t, db).Exec(within(t), leavesTenant)
	require.NoError(t, err)
	_, err = db.Exec(as(t, "acme"), "insert into notes.notes (body) values ('secret')")
	require.NoError(t, err)
	before := backendOf(t, db)
	const count = "select count(*) from notes.notes"
	for who, ctx := range map[string]func() error{
		"nobody": func() error { _, err := db.Exec(within(t), "select notes.leave()"); return err },
		"System": func() error {
			_, err := db.Exec(tenant.System(within(t), "a test"), "select notes.leave()")
			return err
		},
	} {
		require.NoError(t, ctx())
		require.Equal(t, before, backendOf(t, db), "the next user has another connection, and the test shows nothing")
		for door, n := range map[string]func() (int, error){
			"QueryRow": func() (n int, err error) { return n, db.QueryRow(within(t), count).Scan(&n) },
			"Query": func() (int, error) {
				rows, err := db.Query(within(t), count)
				require.NoError(t, err)
				return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
			},
			"System": func() (n int, err error) { return n, db.QueryRow(tenant.System(within(t), "a test"), count).Scan(&n) },
			"transaction": func() (n int, err error) {
				return n, db.InTx(within(t), pgx.TxOptions{}, func(tx pgx.Tx) error { return tx.QueryRow(within(t), count).Scan(&n) })
			},
			"SendBatch": func() (n int, err error) {
				b := &pgx.Batch{}
				b.Queue(count).QueryRow(func(row pgx.Row) error { return row.Scan(&n) })
				return n, db.SendBatch(within(t), b).Close()
			},
			"a client with limits": func() (n int, err error) {
				limited := db.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: patience}))
				return n, limited.QueryRow(within(t), count).Scan(&n)
			},
		} {
			got, err := n()
			require.NoError(t, err, door)
			require.Zero(t, got, "%s reads a tenant's rows after a call of %s", door, who)
		}
	}
}

func TestWhatIsNotPlainRunsAsBeforeWhenTheApplicationHasTenants(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t)
	require.NoError(t, db.Named("orders", fxdb.RequireTenant()).InTx(as(t, "acme"), pgx.TxOptions{}, func(pgx.Tx) error { return nil }))
	for _, sql := range []string{"vacuum", "select 1; select 2", "set work_mem = '5MB'", "begin; commit"} {
		_, err := db.Exec(within(t), sql)
		require.NoError(t, err, sql)
	}
	// A transaction without a tenant may set one by text.
	require.NoError(t, db.InTx(within(t), pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(within(t), "set local app.current_tenant = 'acme'")
		return err
	}))
}

func TestWhatAFunctionChangesOfTheSessionCostsTheConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	for name, value := range map[string]string{"timezone": "Asia/Tokyo", "datestyle": "German", "default_transaction_read_only": "on", "intervalstyle": "iso_8601"} {
		_, err := testkit.OwnerPool(t, db).Exec(within(t), `create or replace function notes.change() returns void language plpgsql as $$
			begin perform set_config('`+name+`', '`+value+`', false); end $$`)
		require.NoError(t, err)
		want, tainted := settingOf(t, db, t.Context(), name), clientStats(t, db, "app").Tainted
		_, err = db.Exec(within(t), "select notes.change()")
		require.NoError(t, err)
		require.Equal(t, want, settingOf(t, db, t.Context(), name))
		require.Equal(t, tainted+1, clientStats(t, db, "app").Tainted, name)
	}
}
