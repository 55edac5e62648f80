package migrate_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

const (
	first  = "-- +goose Up\ncreate table public.a (n int);\n-- +goose Down\ndrop table public.a;\n"
	second = "-- +goose Up\ncreate table public.b (n int);\n-- +goose Down\ndrop table public.b;\n"
	broken = "-- +goose Up\nselect no_such_function();\n-- +goose Down\nselect 1;\n"
)

func files(texts ...string) fs.FS {
	out := fstest.MapFS{}
	for i, text := range texts {
		out[[]string{"00001_a.sql", "00002_b.sql"}[i]] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

func source(fsys fs.FS) []migrate.Source { return []migrate.Source{{Name: "shop", FS: fsys}} }

// database is a database of the test's own, as its owner.
func database(t *testing.T) *pgx.ConnConfig {
	t.Helper()
	return testkit.OwnerPool(t, testkit.DB(t)).Config().ConnConfig
}

func up(t *testing.T, cc *pgx.ConnConfig, fsys fs.FS) error {
	t.Helper()
	return migrate.Up(t.Context(), cc, zap.NewNop(), source(fsys))
}

func exec(t *testing.T, cc *pgx.ConnConfig, sql string) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), cc)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func TestUpRefusesAMigrationThatChangedAfterItWasApplied(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	require.NoError(t, up(t, cc, files(first)))
	require.NoError(t, up(t, cc, files(first)), "nothing to do")

	changed := strings.Replace(first, "n int", "n bigint", 1)
	err := up(t, cc, files(changed, second))
	require.ErrorIs(t, err, migrate.ErrChanged)
	require.ErrorIs(t, err, fxdb.ErrMigrationChanged)
	require.ErrorContains(t, err, `migrations "shop": 00001_a.sql`)
	require.ErrorContains(t, err, "onepool.shop_sums")
	require.ErrorContains(t, up(t, cc, files(first, broken)), "no_such_function", "b was not applied: its text is free")
	require.NoError(t, up(t, cc, files(first, second)))
	require.ErrorIs(t, up(t, cc, files(first, broken)), migrate.ErrChanged)
}

func TestLineEndsAreNoChange(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	require.NoError(t, up(t, cc, files(first)))
	require.NoError(t, up(t, cc, files(strings.ReplaceAll(first, "\n", "\r\n"))))
}

func TestADatabaseWithoutSumsAdoptsWhatIsThere(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	require.NoError(t, up(t, cc, files(first)))
	exec(t, cc, "drop table onepool.shop_sums")
	comment := "-- words\n" + first
	require.NoError(t, up(t, cc, files(comment, second)))
	require.ErrorIs(t, up(t, cc, files(first, second)), migrate.ErrChanged, "it is adopted once")
	require.NoError(t, up(t, cc, files(comment, second)))
}

// What a failed Up has applied is known.
func TestAPartOfUpIsRemembered(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	require.Error(t, up(t, cc, files(first, broken)))
	require.ErrorIs(t, up(t, cc, files("-- words\n"+first, second)), migrate.ErrChanged)
	require.NoError(t, up(t, cc, files(first, second)))
}

func TestDownForgets(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	require.NoError(t, up(t, cc, files(first, second)))
	require.NoError(t, migrate.Down(t.Context(), cc, source(files(first, second))))
	require.NoError(t, up(t, cc, files(second)))
}

// Who takes a migration back by other means may change it.
func TestWhatIsNotAppliedAnyMoreIsForgotten(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	require.NoError(t, up(t, cc, files(first, second)))
	exec(t, cc, "drop table b; delete from onepool.shop_versions where version_id = 2")
	require.NoError(t, up(t, cc, files(first, second+"-- words\n")))
	require.ErrorIs(t, up(t, cc, files(first, second)), migrate.ErrChanged)
}

// A role that may do no more than was needed before there were sums still starts.
func TestWithoutTheRightToKeepSumsItStarts(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	require.NoError(t, up(t, cc, files(first)))
	exec(t, cc, "drop table onepool.shop_sums; revoke create on schema onepool from current_user")
	core, logs := observer.New(zap.WarnLevel)
	require.NoError(t, migrate.Up(t.Context(), cc, zap.New(core), source(files(first))))
	require.Equal(t, 1, logs.Len())
	require.Contains(t, logs.All()[0].Message, "does not check")
	exec(t, cc, "grant create on schema onepool to current_user")
	require.NoError(t, up(t, cc, files(first)))
	require.ErrorIs(t, up(t, cc, files(first+"-- words\n")), migrate.ErrChanged)
	exec(t, cc, "revoke all on onepool.shop_sums from current_user")
	require.NoError(t, up(t, cc, files(first)))
}

// An older program, which lacks the newest file, starts as before.
func TestAFileThatIsGoneIsNoChange(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	require.NoError(t, up(t, cc, files(first, second)))
	require.NoError(t, up(t, cc, files(first)))
	require.NoError(t, up(t, cc, files(first, second)))
}

func TestSourcesHaveSumsOfTheirOwn(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	two := func(shop, stock string) error {
		return migrate.Up(t.Context(), cc, zap.NewNop(), []migrate.Source{{Name: "shop", FS: files(shop)}, {Name: "stock", FS: files(stock)}})
	}
	require.NoError(t, two(first, second))
	require.ErrorContains(t, two(first, first), `migrations "stock": 00001_a.sql`)
	require.NoError(t, two(first, second))
}
