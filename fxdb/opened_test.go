package fxdb_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// pgxpool counts an attempt before BeforeConnect, and the pool refuses the attempts before the
// pool's start. A plain pool with a BeforeConnect that refuses counts the same.
func TestOpenedCountsConnectionsAndPgxpoolCountsAttempts(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	own := notesDB(t)
	var open atomic.Bool
	plain := plainPool(t, own, func(pc *pgxpool.Config) {
		pc.MinConns = 2
		pc.ConnConfig.RuntimeParams["application_name"] = "plain"
		pc.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
			if !open.Load() {
				return errors.New("not yet")
			}
			return nil
		}
	})
	require.Eventually(t, func() bool { return plain.Stat().NewConnsCount() == 2 }, patience, time.Millisecond, "pgxpool opens the minimum")
	require.Zero(t, backends(t, own, "plain"))
	open.Store(true)
	for range 2 {
		conn, err := plain.Acquire(within(t))
		require.NoError(t, err)
		defer conn.Release()
	}
	require.EqualValues(t, 4, plain.Stat().NewConnsCount())
	require.Equal(t, 2, backends(t, own, "plain"))

	db := reopen(t, own, func(c *fxdb.Config) { c.PoolMin, c.ApplicationName = 2, "ours" })
	require.EqualValues(t, 2, db.Stats().Opened)
	require.Equal(t, 2, backends(t, own, "ours"))
	require.GreaterOrEqual(t, db.Pool().Stat().NewConnsCount(), db.Stats().Opened)
}

func TestASecondPoolOnTheDatabaseIsReportedWithBothOrigins(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	logs, err := start(t, fxdb.Config{URL: testkit.DB(t).Pool().Config().ConnString(), PoolMin: 1, PoolMax: 1})
	require.NoError(t, err)
	reports := logs.FilterMessageSnippet("a second pool on the same database").All()
	require.Len(t, reports, 1)
	require.Regexp(t, `^fxdb\.Open at .*testkit/db\.go:\d+$`, reports[0].ContextMap()["first_opened_by"])
	require.Regexp(t, `^fxdb\.Open at .*fxdb/verify_test\.go:\d+$`, reports[0].ContextMap()["opened_by"])
}
