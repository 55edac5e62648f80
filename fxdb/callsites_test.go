package fxdb_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

// TestASettingNamesTheCallSiteOfEveryLeak: each leak comes behind more acquires than the pool
// takes the call sites of unasked.
func TestASettingNamesTheCallSiteOfEveryLeak(t *testing.T) {
	size.SkipShort(t)
	for value, named := range map[string]bool{"true": true, "": false} {
		t.Setenv("DATABASE_URL", urlOf(t))
		t.Setenv("DB_CALL_SITES", value)
		t.Setenv("DB_LEAK_THRESHOLD_MS", "50")
		core, logs := observer.New(zap.WarnLevel)
		var db *fxdb.DB
		app := fx.New(fx.NopLogger, fxdb.Module, fx.Supply(zap.New(core)), fx.Populate(&db))
		require.NoError(t, app.Start(within(t)))
		leaks := func() *observer.ObservedLogs { return logs.FilterMessageSnippet("held too long") }
		sites := make(map[bool]int) // of leaks, by whether they have one
		for sites[named] < 3 && sites[false] < 100 {
			for range 2000 {
				conn, err := db.Acquire(within(t))
				require.NoError(t, err)
				conn.Release()
			}
			before := leaks().Len()
			conn, err := db.Acquire(within(t))
			require.NoError(t, err)
			require.Eventually(t, func() bool { return leaks().Len() > before }, patience, time.Millisecond)
			conn.Release()
			site, _ := leaks().All()[before].ContextMap()["call_site"].(string)
			require.NotEmpty(t, site, "the line says at least how to get the call site")
			sites[site != "not taken: set DB_CALL_SITES=true"]++
			if sites[true]+sites[false] == 20 { // a machine so slow that each tick has few acquires
				break
			}
		}
		if named {
			require.Zero(t, sites[false])
			require.Positive(t, sites[true])
		}
		t.Logf("DB_CALL_SITES=%q: call sites of leaks: %v", value, sites)
		require.NoError(t, app.Stop(within(t)))
	}
}
