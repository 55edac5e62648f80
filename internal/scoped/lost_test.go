package scoped_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// The answers of all queries arrive, and the connection ends before the server says that
// the transaction has committed.
func TestABatchWhoseCommitIsLostIsNotSafeToRetry(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(pgx.BatchResults) error{
		"closed at once": func(pgx.BatchResults) error { return nil },
		"read first":     func(r pgx.BatchResults) error { _, err := r.Exec(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := connect(t, pgx.QueryExecModeCacheStatement)
			batch := func() (pgx.BatchResults, *lease) {
				b, l := &pgx.Batch{}, &lease{conn: s.Conn}
				b.Queue("select 1")
				return s.engine.SendBatch(within(t), l, scopeOf(acme), b), l
			}
			r, _ := batch() // prepares
			require.NoError(t, r.Close())
			s.line.loses.Store(true)
			r, l := batch()
			require.NoError(t, read(r))
			err := r.Close()
			require.ErrorContains(t, err, "connection lost")
			require.False(t, pgconn.SafeToRetry(err))
			require.Equal(t, err, r.Close(), "a second Close has the same error")
			require.Equal(t, 1, l.released)
		})
	}
}
