package fxdb_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// identityDoors are all ways to a statement, each of which reads the identity that the
// server has.
var identityDoors = map[string]func(ctx context.Context, db *fxdb.DB) (string, error){
	"QueryRow": func(ctx context.Context, db *fxdb.DB) (got string, err error) {
		err = db.QueryRow(ctx, huntSettings, "").Scan(&got, nil)
		return got, err
	},
	"SendBatch": func(ctx context.Context, db *fxdb.DB) (got string, err error) {
		b := &pgx.Batch{}
		b.Queue(huntSettings, "").QueryRow(func(row pgx.Row) error { return row.Scan(&got, nil) })
		return got, db.SendBatch(ctx, b).Close()
	},
	"SendBatch that begins": func(ctx context.Context, db *fxdb.DB) (got string, err error) {
		b := &pgx.Batch{}
		b.BeginTx(pgx.TxOptions{})
		b.Queue(huntSettings, "").QueryRow(func(row pgx.Row) error { return row.Scan(&got, nil) })
		br := db.SendBatch(ctx, b)
		err = br.Close()
		if tx := br.Tx(); tx != nil {
			defer func() { _ = tx.Rollback(ctx) }()
		}
		return got, err
	},
	"InTx": func(ctx context.Context, db *fxdb.DB) (got string, err error) {
		return got, db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return tx.QueryRow(ctx, huntSettings, "").Scan(&got, nil) })
	},
	"BeginQuery": func(ctx context.Context, db *fxdb.DB) (got string, err error) {
		err = db.InTx(ctx, pgx.TxOptions{BeginQuery: "begin"}, func(tx pgx.Tx) error { return tx.QueryRow(ctx, huntSettings, "").Scan(&got, nil) })
		return got, err
	},
	"several statements": func(ctx context.Context, db *fxdb.DB) (got string, err error) {
		if _, err = db.Exec(ctx, "truncate notes.plain; insert into notes.plain select 1, "+settingsColumn); err == nil {
			err = db.QueryRow(ctx, "select body from notes.plain").Scan(&got)
		}
		return got, err
	},
	"CopyFrom": func(ctx context.Context, db *fxdb.DB) (got string, err error) {
		if _, err = db.Exec(ctx, "delete from notes.notes"); err != nil {
			return "", err
		}
		if _, err = db.CopyFrom(ctx, pgx.Identifier{"notes", "notes"}, []string{"body"}, pgx.CopyFromRows([][]any{{"x"}})); err == nil {
			err = db.QueryRow(ctx, "select tenant_id || '/' || coalesce(current_setting('app.current_user', true), '') from notes.notes").Scan(&got)
		}
		return got, err
	},
}

func TestAHostileIdentityIsAValueAndNothingElse(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	allModes := []string{"cache_statement", "cache_describe", "exec", "simple_protocol"}
	hostile := []string{
		"'; drop table notes.plain; --", `\'; drop table notes.plain; --`, `\`, `a\\`, `'`, `''`, `"`, "$1", "$$", "$1$", "/*", "--", "é😀", "\u2019; select 1",
		"?", "{acme,globex}", "%s", " spaced ",
	}
	own := notesDB(t, testkit.Config(one))
	_, err := testkit.OwnerPool(t, own).Exec(t.Context(), "grant truncate on notes.plain to public")
	require.NoError(t, err)
	for _, mode := range size.Of(allModes[:1], []string{"cache_statement", "simple_protocol"}, allModes) {
		for _, conforming := range []string{"on", "off"} {
			t.Run(mode+"/standard_conforming_strings="+conforming, func(t *testing.T) {
				params := "&default_query_exec_mode=" + mode + "&standard_conforming_strings=" + conforming
				if mode == "simple_protocol" && conforming == "off" {
					_, err := fxdb.Open(within(t), fxdb.Config{URL: own.Pool().Config().ConnString() + params})
					require.ErrorContains(t, err, "standard_conforming_strings", "pgx refuses to write parameters into a text")
					return
				}
				db := another(t, own, params)
				hostile := hostile
				if conforming == "off" { // each text costs its connection
					hostile = size.Of(hostile[:1], hostile[:4], hostile)
				}
				for door, ask := range identityDoors {
					for _, name := range hostile {
						ctx := tenant.NewContext(t.Context(), tenant.Identity{Tenant: name, User: name})
						got, err := ask(ctx, db)
						require.NoError(t, err, "%s, %q", door, name)
						require.Equal(t, name+"/"+name, got, door)
					}
				}
				if conforming == "on" {
					require.EqualValues(t, 1, db.Stats().Opened)
				}
				var settings string
				require.NoError(t, own.QueryRow(t.Context(), huntSettings, "").Scan(&settings, nil))
				require.Equal(t, "/", settings)
				require.NoError(t, own.QueryRow(t.Context(), "select 'there' from notes.plain right join (select) x on true").Scan(&settings))
			})
		}
	}
}
