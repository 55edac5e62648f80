package fxdb_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// Labels of metrics are UTF-8, and the server ends a name at a NUL byte.
func TestANameThatNobodyCanShowIsRefusedWhereItIsGiven(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	type made struct{}
	db := testkit.DB(t)
	url := urlOf(t)
	for _, name := range []string{"", " ", "caf\xe9", "a\x00b"} {
		var invalid *fxdb.ConfigError
		_, err := db.Named(name).Exec(within(t), "select 1")
		require.ErrorAs(t, err, &invalid, "Named(%q)", name)
		require.Equal(t, fmt.Sprintf("Named(%q)", name), invalid.Setting)
		app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: url}), fxdb.Client(name, func(*fxdb.DB) made { return made{} }))
		require.ErrorAs(t, app.Err(), &invalid, "Client(%q)", name)

		var bad *fxdb.ConfigError
		_, err = fxdb.Open(within(t), fxdb.Config{URL: url, Dedicated: []string{name}})
		require.ErrorAs(t, err, &bad, "DB_DEDICATED=%q", name)
	}
	var bad *fxdb.ConfigError
	for _, cfg := range []fxdb.Config{{URL: url, ApplicationName: "caf\xe9"}, {URL: url, TenantRole: "caf\xe9"}} {
		_, err := fxdb.Open(within(t), cfg)
		require.ErrorAs(t, err, &bad, "%q %q", cfg.ApplicationName, cfg.TenantRole)
		require.ErrorContains(t, err, "UTF-8")
	}
}
