package fxdb_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

type inner struct{ db *fxdb.DB }

func TestAClientInAClientsModuleInheritsItsOptions(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var in *inner
	app := fxtest.New(t, fxdb.Module, fxdb.Migrations("notes", notes), testkit.Swap(t),
		fx.Module("orders",
			fxdb.Named("orders", fxdb.RequireTenant(), fxdb.MaxConns(3), fxdb.Weight(2), fxdb.Reserve(1),
				fxdb.Timeouts(fxdb.ServerTimeouts{Statement: 7 * time.Second, Lock: 3 * time.Second})),
			fxdb.Client("reports", func(db *fxdb.DB) *inner { return &inner{db} },
				fxdb.MaxConns(2), fxdb.Timeouts(fxdb.ServerTimeouts{Lock: time.Second})),
		),
		fx.Populate(&in))
	app.RequireStart()
	defer app.RequireStop()

	_, err := in.db.Exec(t.Context(), "select 1")
	require.ErrorIs(t, err, fxdb.ErrTenantRequired, "the inner client lost the outer client's RequireTenant")
	ctx := as(t, "acme")
	require.Equal(t, "7s", settingOf(t, in.db, ctx, "statement_timeout"))
	require.Equal(t, "1s", settingOf(t, in.db, ctx, "lock_timeout"), "its own option comes on top")
	require.Contains(t, settingOf(t, in.db, ctx, "application_name"), "/orders.reports")
	got := clientStats(t, in.db, "orders.reports")
	require.Equal(t, []int{2, 0, 2}, []int{got.MaxConns, got.Reserve, got.Weight})
}

func TestNamesJoin(t *testing.T) {
	t.Parallel()
	db := notesDB(t)
	orders := db.Named("orders", fxdb.RequireTenant())
	reports := orders.Named("reports")
	for name, handle := range map[string]*fxdb.DB{
		"orders":              orders,
		"orders.reports":      reports,
		"orders.reports.slow": reports.Named("slow"),
	} {
		before := clientStats(t, db, name).Acquired
		for _, same := range []*fxdb.DB{handle, handle.Named(name)} {
			_, err := same.Exec(as(t, "acme"), "select 1")
			require.NoError(t, err)
			_, err = same.Exec(t.Context(), "select 1")
			require.ErrorIs(t, err, fxdb.ErrTenantRequired)
		}
		require.Equal(t, before+2, clientStats(t, db, name).Acquired, "a client asked for its own name is the same client")
	}
	_, err := db.Named("reports").Exec(t.Context(), "select 1")
	require.NoError(t, err, "a client of the root inherits nothing")
}
