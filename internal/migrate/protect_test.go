package migrate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/migrate"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

// rights are the rights of roles other than the owner on the records of migrations. The
// databases of the test kit have default privileges for the application's role.
const rights = `select coalesce(string_agg(distinct concat_ws(' ', c.relname, a.grantee::regrole, a.privilege_type), ', '
		order by concat_ws(' ', c.relname, a.grantee::regrole, a.privilege_type)), '')
	from pg_class c, aclexplode(c.relacl) a where c.relnamespace = 'onepool'::regnamespace and a.grantee <> c.relowner`

func TestOnlyTheOwnerChangesTheRecordsOfMigrations(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := database(t)
	o := observe(t, cc)
	const onlyReads = "shop_sums onepool_app SELECT, shop_versions onepool_app SELECT"
	require.NoError(t, up(t, cc, files(first)))
	require.Equal(t, onlyReads, value[string](o, rights))

	o.exec("grant all on onepool.shop_versions to public; grant all on onepool.shop_sums to onepool_app with grant option")
	o.exec("grant all on sequence onepool.shop_versions_id_seq to onepool_app")
	require.NoError(t, up(t, cc, files(first)), "nothing to apply")
	require.Equal(t, "shop_sums onepool_app SELECT, shop_versions - SELECT, shop_versions onepool_app SELECT, shop_versions_id_seq onepool_app SELECT",
		value[string](o, rights))

	o.exec("drop table onepool.shop_sums")
	o.exec("revoke all on onepool.shop_versions from public; revoke all on sequence onepool.shop_versions_id_seq from onepool_app")
	require.NoError(t, up(t, cc, files(first)), "a table that is made later")
	require.Equal(t, onlyReads, value[string](o, rights))
}

func TestTheErrorNamesTheGrantThatTheSchemaNeeds(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	cc := testkit.DB(t).Pool().Config().ConnConfig
	err := migrate.Up(t.Context(), cc, nil, source(files(first)))
	require.ErrorContains(t, err, `permission denied for database`)
	require.ErrorContains(t, err, `run "grant create on database `+cc.Database+` to onepool_app", or let DB_MIGRATE_URL name a role with this right`)
}
