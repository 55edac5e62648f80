package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/modules/internal/store"
	"github.com/agentagency/onepool/testkit"
)

// flakySQL makes a function that is in another's way every other time.
const flakySQL = `
create table written (n int);
create sequence tries;
create function flaky(code text) returns int language plpgsql as $$ begin
    if nextval('tries') % 2 = 1 then
        raise exception 'in the way' using errcode = code;
    end if;
    return 1;
end $$;
grant all on written, tries to onepool_app`

func TestWhatWasInOthersWayIsSentAgain(t *testing.T) {
	t.Parallel()
	type row struct{ N int }
	const insert = "insert into written select flaky(@code) returning n"
	for name, send := range map[string]func(ctx context.Context, db *store.DB, args pgx.NamedArgs) error{
		"Exec": func(ctx context.Context, db *store.DB, args pgx.NamedArgs) error {
			tag, err := db.Exec(ctx, insert, args)
			if err == nil {
				require.EqualValues(t, 1, tag.RowsAffected())
			}
			return err
		},
		"QueryRow": func(ctx context.Context, db *store.DB, args pgx.NamedArgs) error {
			var n int
			return db.QueryRow(ctx, insert, args).Scan(&n)
		},
		"One": func(ctx context.Context, db *store.DB, args pgx.NamedArgs) error {
			_, err := store.One[row](ctx, db, insert, args)
			return err
		},
		"Many": func(ctx context.Context, db *store.DB, args pgx.NamedArgs) error {
			_, err := store.Many[row](ctx, db, insert, args)
			return err
		},
		"Value": func(ctx context.Context, db *store.DB, args pgx.NamedArgs) error {
			_, err := store.Value[int](ctx, db, insert, args)
			return err
		},
		"no row": func(ctx context.Context, db *store.DB, args pgx.NamedArgs) error {
			_, err := store.Value[int](ctx, db, "with w as ("+insert+") select n from w where n = 2", args)
			if err != nil && !isPg(err) {
				require.ErrorIs(t, err, pgx.ErrNoRows)
				return nil
			}
			return err
		},
		"After": func(ctx context.Context, db *store.DB, args pgx.NamedArgs) error {
			rows, err := store.After[row](ctx, db, "select 1", insert, args)
			if err == nil {
				require.Len(t, rows, 1)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDB(t, "acme")
			_, err := testkit.OwnerPool(t, db.DB).Exec(t.Context(), flakySQL)
			require.NoError(t, err)
			written := 0
			for _, code := range []string{"40P01", "40001", "55P03"} {
				require.NoError(t, send(t.Context(), db, pgx.NamedArgs{"code": code}), code)
				written++
			}
			require.ErrorContains(t, send(t.Context(), db, pgx.NamedArgs{"code": "23505"}), "23505", "that stays so")
			n, err := store.Value[int](t.Context(), db, "select count(*) from written", nil)
			require.NoError(t, err)
			require.Equal(t, written, n)
		})
	}
}

func isPg(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr)
}
