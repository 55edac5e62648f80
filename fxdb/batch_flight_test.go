package fxdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// A list of statements that is known at once needs no InTx: a batch is a transaction in a single
// flight, with a tenant and without.
func TestABatchIsATransactionInASingleFlight(t *testing.T) {
	t.Parallel()
	w := newWire(t, 0)
	db := w.openToCount(t).Named("client")
	for name, c := range map[string]struct {
		ctx                 context.Context
		insert, count, void string
	}{
		"with a tenant": {as(t, "acme"), "insert into notes.notes (body) values ($1)", "select count(*) from notes.notes", "delete from notes.notes"},
		"without": {within(t), "insert into notes.plain (id, body) select count(*), $1::text || count(*) from notes.plain",
			"select count(*) from notes.plain", "delete from notes.plain"},
	} {
		t.Run(name, func(t *testing.T) {
			send := func(divisor int) func() error {
				return func() error {
					b := &pgx.Batch{}
					b.Queue(c.insert, "first")
					b.Queue("select 1/$1::int", divisor)
					b.Queue(c.insert, "second")
					return db.SendBatch(c.ctx, b).Close()
				}
			}
			rows := func() (n int) {
				require.NoError(t, db.QueryRow(c.ctx, c.count).Scan(&n))
				return n
			}
			require.NoError(t, send(1)(), "prepares the statements")
			require.Equal(t, 2, rows())
			require.EqualValues(t, 1, w.during(t, send(1)))
			require.Equal(t, 4, rows())
			var err error
			require.EqualValues(t, 1, w.during(t, func() error { err = send(0)(); return nil }))
			require.Equal(t, "22012", codeOf(err))
			require.Equal(t, 4, rows(), "a statement in front of the error has taken effect")
			_, err = db.Exec(c.ctx, c.void)
			require.NoError(t, err)
		})
	}
}
