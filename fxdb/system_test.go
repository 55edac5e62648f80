package fxdb_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
)

func TestWorkOutsideAnyTenantIsCountedAndLoggedOnce(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	core, logs := observer.New(zapcore.InfoLevel)
	db, err := fxdb.Open(t.Context(), fxdb.Config{URL: urlOf(t)}, fxdb.WithLogger(zap.New(core)))
	require.NoError(t, err)
	defer db.Close(context.WithoutCancel(t.Context()))
	use := func(db *fxdb.DB, reason string) {
		_, err := db.Exec(tenant.System(t.Context(), reason), "select 1")
		require.NoError(t, err)
	}
	billing := db.Named("billing")
	for range 3 {
		use(billing, "invoices")
		use(billing, "cleanup")
		use(db, "cleanup")
	}
	var lines []string
	for _, line := range logs.FilterMessage("statements outside any tenant from now on").All() {
		fields := line.ContextMap()
		lines = append(lines, fields["client"].(string)+": "+fields["reason"].(string))
	}
	require.Equal(t, []string{"billing: invoices", "billing: cleanup", "app: cleanup"}, lines)
	counts := make(map[string]uint64)
	for _, c := range db.Stats().Clients {
		counts[c.Name] = c.System
	}
	require.Equal(t, map[string]uint64{"app": 3, "billing": 6}, counts)
}

func TestABlankReasonHasAnErrorOfItsOwn(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := notesDB(t).Named("strict", fxdb.RequireTenant())
	for _, blank := range []string{"", " ", " \t\n"} {
		ctx := tenant.System(as(t, "acme"), blank)
		for what, use := range map[string]func() error{
			"Exec":  func() error { _, err := db.Exec(ctx, "select 1"); return err },
			"Begin": func() error { _, err := db.Begin(ctx); return err },
			"Query": func() error { _, err := db.Query(ctx, "select 1"); return err },
		} {
			err := use()
			require.ErrorIs(t, err, fxdb.ErrTenantRequired, what)
			require.ErrorContains(t, err, "the reason given to tenant.System is blank", what)
		}
	}
	_, err := db.Exec(t.Context(), "select 1")
	require.ErrorIs(t, err, fxdb.ErrTenantRequired)
	require.NotContains(t, err.Error(), "blank", "nobody gave a reason")
}
