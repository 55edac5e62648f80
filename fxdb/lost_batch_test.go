package fxdb_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

// TestATenantsBatchWhoseAnswerIsLostIsNotSafeToRetry cuts the connection when the server
// has run the batch. Whoever asks pgconn.SafeToRetry must not send the batch again.
func TestATenantsBatchWhoseAnswerIsLostIsNotSafeToRetry(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	w := newWire(t, 0)
	db, acme := w.open(t), as(t, "acme")
	batch := func(body string) *pgx.Batch {
		b := &pgx.Batch{}
		b.Queue("insert into notes.notes (body) values ($1)", body)
		b.Queue("select 1")
		return b
	}
	require.NoError(t, db.SendBatch(acme, batch("known")).Close())
	for name, read := range map[string]func(pgx.BatchResults) error{
		"closed at once": func(br pgx.BatchResults) error { return br.Close() },
		"read first": func(br pgx.BatchResults) error {
			_, err := br.Exec()
			require.Error(t, err)
			return br.Close()
		},
	} {
		w.cutAt(name, true)
		err := read(db.SendBatch(acme, batch(name)))
		require.False(t, pgconn.SafeToRetry(err), "%s: %v", name, err)
		require.ErrorContains(t, err, "connection lost", name)
		require.Equal(t, 1, countNotes(t, db, acme, name))
	}
}
