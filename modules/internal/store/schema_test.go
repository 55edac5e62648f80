package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/modules/internal/check"
	"github.com/agentagency/onepool/modules/internal/store"
	"github.com/agentagency/onepool/testkit"
)

var files = fstest.MapFS{
	"migrations/00001_a.sql": {Data: []byte("-- +goose Up\ncreate schema s;\ncreate table s.t (n int);\n-- +goose Down\ndrop schema s cascade;\n")},
	"migrations/00002_b.sql": {Data: []byte("-- +goose Up\ncreate view s.v as select n from s.t;\n-- +goose Down\ndrop view s.v;\n")},
}

func TestSchemaCheckSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	raw := testkit.DB(t, testkit.Migrations("test", files))
	db, err := store.New("test", raw.Named("test", fxdb.RequireTenant()), "", 0)
	require.NoError(t, err)
	owner := testkit.OwnerPool(t, raw)
	change := func(sql string) {
		t.Helper()
		_, err := owner.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	s := store.Schema{Source: "test", Migrations: files, Tables: []string{"s.t"}, Views: []string{"s.v"}}
	require.NoError(t, s.Check(t.Context(), db))

	for _, privilege := range []string{"select", "insert", "update", "delete"} {
		change(fmt.Sprintf("revoke %s on s.t from onepool_app", privilege))
		err := s.Check(t.Context(), db)
		require.ErrorIs(t, err, modules.ErrSchema, privilege)
		require.ErrorContains(t, err, "test: check the schema: ")
		require.ErrorContains(t, err, "[s.t]")
		require.ErrorContains(t, err, "apply the migrations (DB_MIGRATE=true)")
		change(fmt.Sprintf("grant %s on s.t to onepool_app", privilege))
	}
	change("revoke insert, update, delete on s.v from onepool_app")
	require.NoError(t, s.Check(t.Context(), db), "a view is read only")
	change("revoke select on s.v from onepool_app")
	require.ErrorContains(t, s.Check(t.Context(), db), "[s.v]")
	change("grant select on s.v to onepool_app")

	change("update onepool.test_versions set is_applied = false where version_id = 2")
	err = s.Check(t.Context(), db)
	require.ErrorIs(t, err, modules.ErrSchema)
	require.ErrorContains(t, err, "it is at version 1, needed is 2")
	change("delete from onepool.test_versions")
	require.ErrorContains(t, s.Check(t.Context(), db), "it is at version 0, needed is 2")
	change("insert into onepool.test_versions (version_id, is_applied) values (3, true)")
	require.NoError(t, s.Check(t.Context(), db), "a newer schema is the operator's business")
	change("revoke usage on schema onepool from onepool_app")
	err = s.Check(t.Context(), db)
	require.ErrorIs(t, err, modules.ErrSchema, "what the role may not see is missing")
	require.ErrorIs(t, err, modules.ErrForbidden)
	change("grant usage on schema onepool to onepool_app")
	change("drop table onepool.test_versions")
	require.ErrorIs(t, s.Check(t.Context(), db), modules.ErrSchema)
	change("drop view s.v; drop table s.t")
	require.ErrorContains(t, s.Check(t.Context(), db), "[s.t s.v]")

	// What is no fault of the schema does not send anybody to the migrations.
	require.NoError(t, raw.Close(t.Context()))
	err = s.Check(t.Context(), db)
	require.ErrorIs(t, err, fxdb.ErrDraining)
	require.NotContains(t, err.Error(), "DB_MIGRATE")
}

func TestSchemaCheckGoesOnWithMore(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, err := store.New("test", testkit.DB(t, testkit.Migrations("test", files)).Named("test", fxdb.RequireTenant()), "", 0)
	require.NoError(t, err)
	var missing error
	s := store.Schema{Source: "test", Migrations: files, Tables: []string{"s.t"}}
	s.More = func(ctx context.Context) error {
		_, err := store.Value[int](ctx, db, "select 1", nil) // it needs no tenant
		return check.First(err, missing)
	}
	require.NoError(t, s.Check(t.Context(), db))
	missing = fmt.Errorf("%w: no column", modules.ErrSchema)
	err = s.Check(t.Context(), db)
	require.ErrorIs(t, err, modules.ErrSchema)
	require.ErrorContains(t, err, "no column; apply the migrations")
	errElse := errors.New("something else")
	missing = errElse
	err = s.Check(t.Context(), db)
	require.ErrorIs(t, err, errElse)
	require.NotContains(t, err.Error(), "DB_MIGRATE")
	s.Tables = []string{"s.missing"}
	err = s.Check(t.Context(), db)
	require.ErrorContains(t, err, "s.missing")
	require.NotErrorIs(t, err, errElse, "it comes last")
}

func TestASchemaHasMigrations(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDB(t, "")
	require.ErrorContains(t, store.Schema{Source: "test", Migrations: fstest.MapFS{}}.Check(t.Context(), db), "no migrations are embedded")
	odd := fstest.MapFS{"migrations/first.sql": {}}
	require.Error(t, store.Schema{Source: "test", Migrations: odd}.Check(t.Context(), db))
}
