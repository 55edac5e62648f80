package migrate_test

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/testing/size"
)

// IF NOT EXISTS finds the invalid index of an interrupted build, and reports success.
func TestAMigrationIsNotRecordedWhileItsIndexIsInvalid(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for by, m := range migrators {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			cc, o := account(t)
			o.exec("insert into acct values (100)")
			o.exec("create table other (n int); insert into other values (1), (1)")
			_, err := o.conn.Exec(t.Context(), "create unique index concurrently \"a foreign build\" on other (n)")
			require.Error(t, err)
			fsys := files("-- +goose NO TRANSACTION\n-- +goose Up\n" +
				"create unique index concurrently if not exists acct_cents on public.acct (cents);\n")
			require.ErrorContains(t, m.up(t.Context(), cc, fsys, zap.NewNop()), "23505")
			o.exec("delete from acct where ctid <> (select min(ctid) from acct)")
			err = m.up(t.Context(), cc, fsys, zap.NewNop())
			valid := func() bool {
				return value[bool](o, "select indisvalid from pg_index where indexrelid = 'acct_cents'::regclass")
			}
			recorded := func() int {
				return value[int](o, "select count(*) from "+m.versions+" where version_id = 1")
			}
			require.False(t, valid())
			if by == "goose" { // the control records what is not there
				require.NoError(t, err)
				require.Equal(t, 1, recorded())
				return
			}
			require.ErrorContains(t, err, "acct_cents is not valid")
			require.Zero(t, recorded())
			mend := regexp.MustCompile(`drop index concurrently if exists public\.acct_cents`)
			require.Regexp(t, mend, err.Error())
			o.exec(mend.FindString(err.Error()))
			require.NoError(t, m.up(t.Context(), cc, fsys, zap.NewNop()))
			require.True(t, valid())
			require.Equal(t, 1, recorded())
		})
	}
}
