package fxdbprom_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/testkit"
)

// Package fxdb refuses a name of invalid UTF-8. A user of package lifecycle may give any name.
func TestANameThatIsNotUTF8IsShownAllTheSame(t *testing.T) {
	t.Parallel()
	db := testkit.DB(t)
	reg := prometheus.NewRegistry()
	defer register(t, reg, db)()
	_, err := db.Named("caf\xe9").Exec(inTime(t), "select 1")
	require.ErrorContains(t, err, "UTF-8")
	conn, err := db.Monitor().Acquire(inTime(t), lifecycle.Request{Client: "th\xe9"})
	require.NoError(t, err)
	f := gatherOne(t, reg)
	require.Equal(t, 1, f["onepool_acquires_total{client=th\uFFFD,result=ok}"])
	require.Equal(t, 1, f["onepool_client_connections_held{client=th\uFFFD}"])
	conn.Release()
	require.Zero(t, db.Stats().Active)
	require.Equal(t, 1, gatherOne(t, reg)["onepool_connection_hold_seconds_count{client=th\uFFFD}"])
}
