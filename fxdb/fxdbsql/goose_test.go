package fxdbsql_test

import (
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/fxdbsql"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// goose keeps a session for its advisory lock beside the transactions of the
// migrations, and runs one outside any transaction.
func TestGooseMigratesThroughThePool(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	kept := testkit.DB(t)
	pool, err := fxdb.Open(t.Context(), fxdb.Config{URL: testkit.OwnerPool(t, kept).Config().ConnString(), PoolMax: 3, NestedAcquire: "off"})
	require.NoError(t, err)
	defer func() { require.NoError(t, pool.Close(t.Context())) }()
	db := fxdbsql.Open(pool.Named("migrations"))
	defer db.Close()

	locker, err := lock.NewPostgresSessionLocker()
	require.NoError(t, err)
	provider, err := goose.NewProvider(goose.DialectPostgres, db, fstest.MapFS{
		"00001_table.sql": {Data: []byte("-- +goose Up\ncreate table goods (id int);\ninsert into goods values (1), (2);\n-- +goose Down\ndrop table goods;\n")},
		"00002_index.sql": {Data: []byte("-- +goose NO TRANSACTION\n-- +goose Up\ncreate index concurrently goods_id on goods (id);\n-- +goose Down\ndrop index concurrently goods_id;\n")},
		"00003_bad.sql":   {Data: []byte("-- +goose Up\ninsert into goods values (3);\nselect 1 / 0;\n")},
	}, goose.WithSessionLocker(locker))
	require.NoError(t, err)
	_, err = provider.Up(t.Context())
	require.ErrorContains(t, err, "division by zero")
	version, err := provider.GetDBVersion(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, version)
	var n int
	require.NoError(t, db.QueryRow("select count(*) from goods").Scan(&n))
	require.Equal(t, 2, n, "the migration that failed was rolled back")
	_, err = provider.DownTo(t.Context(), 0)
	require.NoError(t, err)
	require.Error(t, db.QueryRow("select count(*) from goods").Scan(&n))

	var locks int
	require.NoError(t, db.QueryRow("select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())").Scan(&locks))
	require.Zero(t, locks)
	require.Zero(t, pool.Stats().Active)
}
