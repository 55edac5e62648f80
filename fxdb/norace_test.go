//go:build !race

package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// TestAScopesSettingsCostNoAllocation compares statements whose scopes have few and many
// settings. Not parallel: AllocsPerRun counts the whole process.
func TestAScopesSettingsCostNoAllocation(t *testing.T) {
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(func(c *fxdb.Config) {
		one(c)
		c.SessionCheck = false // production's default: a look that is awaited allocates
	}))
	limited := db.Named("limited", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: time.Minute, Lock: time.Second}))
	allocs := func(db *fxdb.DB, ctx context.Context) float64 {
		return testing.AllocsPerRun(100, func() {
			var n int
			require.NoError(t, db.QueryRow(ctx, "select $1::int", 1).Scan(&n))
		})
	}
	acme := as(t, "acme")
	few := allocs(db, acme)
	require.LessOrEqual(t, few, 22.0)
	require.LessOrEqual(t, allocs(limited, acme), few+1)
	soon, cancel := context.WithTimeout(acme, 20*time.Second)
	defer cancel()
	timed := allocs(limited, soon)
	t.Logf("allocations: %v with a tenant, %v with a deadline and limits too", few, timed)
	require.LessOrEqual(t, timed, few+6, "the context's watcher of pgx has 4")
}
