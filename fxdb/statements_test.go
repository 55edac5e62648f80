package fxdb_test

import (
	"context"
	"fmt"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestScopedStatementsOutliveAChangeOfTheSchema(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := notesDB(t, testkit.Config(one))
	acme, owner := as(t, "acme"), testkit.OwnerPool(t, db)
	read := func() (columns int, err error) {
		rows, err := db.Query(acme, "select * from notes.plain where id > $1", 0)
		if err != nil {
			return 0, err
		}
		columns = len(rows.FieldDescriptions())
		rows.Close()
		return columns, rows.Err()
	}
	_, err := db.Exec(acme, "insert into notes.plain (id, body) values ($1, $2)", 1, "x")
	require.NoError(t, err)
	n, err := read()
	require.NoError(t, err)
	require.Equal(t, 2, n)
	_, err = owner.Exec(t.Context(), "alter table notes.plain add column more text")
	require.NoError(t, err)
	_, err = read()
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr, "the server refuses a plan whose result has changed, once")
	require.Equal(t, "0A000", pgErr.Code)
	n, err = read()
	require.NoError(t, err)
	require.Equal(t, 3, n)
	_, err = owner.Exec(t.Context(), "alter table notes.plain alter column id type text")
	require.NoError(t, err)
	_, _ = db.Exec(acme, "insert into notes.plain (id, body) values ($1, $2)", "2", "y")
	_, err = db.Exec(acme, "insert into notes.plain (id, body) values ($1, $2)", "3", "z")
	require.NoError(t, err, "the types of its parameters were not asked for again")
	requireClean(t, db)
}

func TestAParameterOfAnotherTypeOutlivesAChangeOfTheSchema(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	for name, insert := range map[string]func(ctx context.Context, db *fxdb.DB, id any) error{
		"Exec": func(ctx context.Context, db *fxdb.DB, id any) error {
			_, err := db.Exec(ctx, "insert into notes.plain (id) values ($1)", id)
			return err
		},
		"SendBatch": func(ctx context.Context, db *fxdb.DB, id any) error {
			b := &pgx.Batch{}
			b.Queue("insert into notes.plain (id) values ($1)", id)
			return db.SendBatch(ctx, b).Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := notesDB(t, testkit.Config(one))
			acme, owner := as(t, "acme"), testkit.OwnerPool(t, db)
			require.NoError(t, insert(acme, db, 1))
			for kind, id := range map[string]any{
				"text": "no number", // the server can't make the old type of it, nor pgx of the other
				"uuid using lpad(id::text, 32, '0')::uuid": [16]byte{1},
			} {
				_, err := owner.Exec(t.Context(), "truncate notes.plain; alter table notes.plain alter id type int using 1")
				require.NoError(t, err)
				_ = insert(acme, db, 1)
				_, err = owner.Exec(t.Context(), "truncate notes.plain; alter table notes.plain alter id type "+kind)
				require.NoError(t, err)
				if insert(acme, db, id) != nil { // of the old type, once
					require.NoError(t, insert(acme, db, id), kind)
				}
			}
			requireClean(t, db)
		})
	}
}

func TestADescribedStatementOutlivesAChangeOfTheSchema(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	w := newWire(t, 0, func(v url.Values) { v.Set("default_query_exec_mode", "cache_describe") })
	db, owner := w.open(t), testkit.OwnerPool(t, w.db)
	acme := as(t, "acme")
	const sql = "select * from notes.plain where id > $1"
	uses := map[string]func() (columns int, err error){
		"Query": func() (int, error) {
			rows, err := db.Query(acme, sql, 0)
			if err != nil {
				return 0, err
			}
			rows.Close()
			return len(rows.FieldDescriptions()), rows.Err()
		},
		"SendBatch": func() (columns int, err error) {
			b := &pgx.Batch{}
			b.Queue(sql, 0).Query(func(rows pgx.Rows) error { columns = len(rows.FieldDescriptions()); return rows.Err() })
			return columns, db.SendBatch(acme, b).Close()
		},
	}
	for name, columns := range uses {
		before, err := columns()
		require.NoError(t, err)
		_, err = owner.Exec(t.Context(), "alter table notes.plain add column "+name+" text")
		require.NoError(t, err)
		_, err = columns()
		require.NoError(t, isCode(err, "08P01"), "%s asks for the old columns, once", name)
		after, err := columns()
		require.NoError(t, err, name)
		require.Equal(t, before+1, after)
	}
	requireClean(t, db)
}

func TestAConnectionKeepsNoMoreStatementsThanItMay(t *testing.T) {
	size.SkipShort(t)
	t.Parallel()
	db := newWire(t, 0, func(v url.Values) { v.Set("statement_cache_capacity", "4") }).open(t)
	acme := as(t, "acme")
	prepared := func() (n int) {
		require.NoError(t, db.QueryRow(acme, "select count(*) from pg_prepared_statements where name like 'onepool%'").Scan(&n))
		return n
	}
	for round := range 3 {
		for i := range 10 {
			var got int
			require.NoError(t, db.QueryRow(acme, fmt.Sprintf("select %d + $1::int", i), round).Scan(&got))
			require.Equal(t, i+round, got)
		}
		require.LessOrEqual(t, prepared(), 4)
	}
	texts := make([]string, 10) // a batch may need more
	for i := range texts {
		texts[i] = fmt.Sprintf("select %d", i)
	}
	require.NoError(t, batchOf(acme, db, append(texts, texts...)...))
	require.NoError(t, batchOf(acme, db, texts...))
	_, err := db.Exec(acme, "select $1::int", 1) // the next new one drops what is too much
	require.NoError(t, err)
	require.LessOrEqual(t, prepared(), 4)
	requireClean(t, db)
}
