package scoped_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/scoped"
)

func TestABatchLeavesNothingForTheNext(t *testing.T) {
	t.Parallel()
	require.True(t, scoped.KnowsBatches, "pgx has changed pgconn.Batch: bring batchFields up to date")
	s := connect(t, pgx.QueryExecModeCacheStatement)
	sc := scoped.NewSettings(scoped.Options{}).With(scoped.Scope{Identity: acme}, scoped.OfIdentity)
	long := strings.Repeat("x", 100_000)
	for range 2 { // new statements, then known ones
		for _, want := range []string{"a", long, "b"} {
			var got, tenant string
			require.NoError(t, s.scan(within(t), sc, &got, "select $1::text", want))
			require.Equal(t, want, got)
			var n int
			require.NoError(t, s.scan(within(t), sc, &n, "select length($1)", want))
			require.Len(t, want, n)
			require.NoError(t, s.scan(within(t), sc, &tenant, "select current_setting('app.current_tenant')"))
			require.Equal(t, acme.Tenant, tenant)
			require.Error(t, s.scan(within(t), sc, &n, "select 1 / $1::int", 0))
		}
	}
}
