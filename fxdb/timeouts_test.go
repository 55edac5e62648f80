package fxdb_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestTimeoutsOfTwoPlacesAddUp(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	reports := db.Named("reports", fxdb.Timeouts(fxdb.ServerTimeouts{Lock: 2 * time.Second, Statement: 3 * time.Second}))
	again := db.Named("reports", fxdb.Timeouts(fxdb.ServerTimeouts{Statement: 4 * time.Second}))
	for _, db := range []*fxdb.DB{reports, again} {
		require.Equal(t, "2s", settingOf(t, db, t.Context(), "lock_timeout"))
		require.Equal(t, "4s", settingOf(t, db, t.Context(), "statement_timeout"), "the last one counts")
	}
}

func TestAClientsLimitIsNotLeftToTheServer(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t, testkit.Config(one))
	client := db.Named("reports", fxdb.Timeouts(fxdb.ServerTimeouts{Lock: fxdb.LeftToServer}))
	var invalid *fxdb.ConfigError
	require.ErrorAs(t, client.Ping(t.Context()), &invalid, "the value is negative, and a negative limit is none")
}
