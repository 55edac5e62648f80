package fxdbsql_test

import (
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestErrorsOfTheCommitAreTheStatements(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	_, db := open(t)
	ctx := as(t, "acme")
	const duplicate = "insert into notes.late values (1), (1) returning id"
	isDuplicate := func(err error) {
		t.Helper()
		var pgErr *pgconn.PgError
		require.ErrorAs(t, err, &pgErr)
		require.Equal(t, "23505", pgErr.Code)
	}
	_, err := db.ExecContext(ctx, duplicate)
	isDuplicate(err)
	isDuplicate(db.QueryRowContext(ctx, duplicate).Scan(new(int)))

	rows, err := db.QueryContext(ctx, duplicate)
	require.NoError(t, err)
	n := 0
	for rows.Next() {
		n++
	}
	require.Equal(t, 2, n)
	isDuplicate(rows.Err())

	rows, err = db.QueryContext(ctx, duplicate)
	require.NoError(t, err)
	require.True(t, rows.Next())
	isDuplicate(rows.Close())

	tx, err := db.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = tx.Exec(duplicate)
	require.NoError(t, err)
	isDuplicate(tx.Commit())

	tx, err = db.BeginTx(ctx, nil)
	require.NoError(t, err)
	_, err = tx.Exec("select 1 / 0")
	require.Error(t, err)
	require.ErrorIs(t, tx.Commit(), pgx.ErrTxCommitRollback)

	var left int
	require.NoError(t, db.QueryRowContext(ctx, "select count(*) from notes.late").Scan(&left))
	require.Zero(t, left)
}

func TestARefusedRowIsTheStatementsError(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	_, db := open(t)
	_, err := db.ExecContext(as(t, "acme"), "insert into notes.notes (tenant_id, body) values ('globex', 'x')")
	var pgErr *pgconn.PgError
	require.ErrorAs(t, err, &pgErr)
	require.Equal(t, "42501", pgErr.Code)
	require.Same(t, pgErr, err, "gorm and others look for it without errors.As")
	require.ErrorIs(t, db.QueryRowContext(as(t, "acme"), "select 1 from notes.notes").Scan(new(int)), sql.ErrNoRows)
}
