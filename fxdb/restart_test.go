package fxdb_test

import (
	"net/url"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

func TestAnApplicationThatIsStartedAgainLearnsThatItsPoolIsClosed(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	nowhere := (&url.URL{Scheme: "postgres", Path: "/none", RawQuery: "host=" + url.QueryEscape(filepath.Join(t.TempDir(), "gone"))}).String()
	for name, c := range map[string]struct{ url, says string }{
		"after its stop":         {urlOf(t), "the application has stopped"},
		"after its start failed": {nowhere, "the start has failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var db *fxdb.DB
			app := fx.New(fx.NopLogger, fxdb.Module, fx.Replace(fxdb.Config{URL: c.url}), fx.Populate(&db))
			first := app.Start(t.Context())
			require.NoError(t, app.Stop(t.Context()))
			again := app.Start(t.Context())
			require.ErrorIs(t, again, fxdb.ErrDraining)
			require.NotContains(t, again.Error(), "the application is stopping")
			for _, err := range []error{again, db.Ping(t.Context()), db.Pool().Ping(t.Context())} {
				require.ErrorIs(t, err, fxdb.ErrDraining)
				require.ErrorContains(t, err, c.says)
				require.ErrorContains(t, err, "fx.New")
			}
			if first != nil {
				require.ErrorContains(t, again, "no such file or directory", "the reason is said again")
			}
		})
	}
}
