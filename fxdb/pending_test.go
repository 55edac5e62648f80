package fxdb_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestAStartWarnsOfMigrationsThatTheDatabaseLacks(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t)
	url, owner := db.Pool().Config().ConnString(), testkit.OwnerPool(t, db)
	one := fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\nselect 1;\n")}}
	two := fstest.MapFS{"00001_a.sql": one["00001_a.sql"], "00002_b.sql": one["00001_a.sql"], "00003_c.sql": one["00001_a.sql"]}
	requireMissing := func(want string, missing int, opts ...fxdb.Option) {
		t.Helper()
		logs, err := start(t, fxdb.Config{URL: url}, opts...)
		require.NoError(t, err)
		var found []string
		for _, e := range logs.FilterMessageSnippet("lacks migrations").All() {
			found = append(found, fmt.Sprint(e.ContextMap()["first_missing"]))
			require.EqualValues(t, missing, e.ContextMap()["missing"])
			require.Equal(t, "DB_MIGRATE", e.ContextMap()["setting"])
		}
		if want == "" {
			require.Empty(t, found)
			return
		}
		require.Equal(t, []string{want}, found)
	}
	apply := func(opts ...fxdb.Option) {
		t.Helper()
		_, err := start(t, fxdb.Config{URL: url, Migrate: true, MigrateURL: owner.Config().ConnString()}, opts...)
		require.NoError(t, err)
	}
	requireMissing("", 0)
	requireMissing("[bills/00001_a.sql shop/00001_a.sql]", 4, fxdb.WithMigrations("shop", two), fxdb.WithMigrations("bills", one))
	apply(fxdb.WithMigrations("shop", one), fxdb.WithMigrations("bills", one))
	requireMissing("[shop/00002_b.sql]", 2, fxdb.WithMigrations("shop", two), fxdb.WithMigrations("bills", one))
	apply(fxdb.WithMigrations("shop", two))
	requireMissing("", 0, fxdb.WithMigrations("shop", two), fxdb.WithMigrations("bills", one))
	_, err := owner.Exec(t.Context(), "revoke select on onepool.shop_versions from "+db.Pool().Config().ConnConfig.User)
	require.NoError(t, err)
	requireMissing("", 0, fxdb.WithMigrations("shop", fstest.MapFS{"00009_z.sql": one["00001_a.sql"]}))
}

// TestAStartAsksOverOneConnectionBesideThePool counts the connects: a backend costs the server more
// than the questions.
func TestAStartAsksOverOneConnectionBesideThePool(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url := testkit.DB(t).Pool().Config().ConnString()
	shop := fxdb.WithMigrations("shop", fstest.MapFS{"00001_a.sql": {Data: []byte("-- +goose Up\nselect 1;\n")}})
	for name, c := range map[string]struct {
		verify   fxdb.VerifyMode
		opts     []fxdb.Option
		connects int64
	}{
		"no question":        {fxdb.VerifyOff, nil, 1},
		"pending migrations": {fxdb.VerifyOff, []fxdb.Option{shop}, 2},
		"verify":             {fxdb.VerifyWarn, nil, 2},
		"both":               {fxdb.VerifyWarn, []fxdb.Option{shop}, 2},
	} {
		var connects atomic.Int64
		count := fxdb.WithConfigurePool(func(pc *pgxpool.Config) error {
			base := pc.ConnConfig.DialFunc
			pc.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				connects.Add(1)
				return base(ctx, network, addr)
			}
			return nil
		})
		_, err := start(t, fxdb.Config{URL: url, PoolMin: 1, VerifyTenancy: c.verify}, append(c.opts, count)...)
		require.NoError(t, err)
		require.Equal(t, c.connects, connects.Load(), name)
	}
}
