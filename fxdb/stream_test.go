package fxdb_test

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// TestATenantsRowsStream is not parallel: it looks at the process's heap.
func TestATenantsRowsStream(t *testing.T) {
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	many := size.Of(60_000, 60_000, 1_000_000)
	rows, err := db.Query(as(t, "acme"), "select generate_series(1, $1::int), repeat('x', 500)", many)
	require.NoError(t, err)
	defer rows.Close()
	before, most := live(), int64(0)
	seen, text := 0, ""
	for rows.Next() {
		var n int
		require.NoError(t, rows.Scan(&n, &text))
		if seen++; seen%(many/4) == 0 {
			most = max(most, live()-before)
		}
	}
	require.NoError(t, rows.Err())
	require.Equal(t, many, seen)
	require.Less(t, most, int64(8<<20), "the rows were kept")
	requireClean(t, db)
}
