// Package clienttest holds the common part of the clients' tests: short ways to a tenant's rows,
// and the tests of every client's schema.
package clienttest

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

// As returns the test's context as the tenant name.
func As(t testing.TB, name string) context.Context {
	return tenant.NewContext(t.Context(), tenant.Identity{Tenant: name})
}

// Scan reads a row into dest as the tenant in ctx.
func Scan(t testing.TB, ctx context.Context, db *fxdb.DB, sql string, dest ...any) {
	t.Helper()
	require.NoError(t, db.QueryRow(ctx, sql).Scan(dest...))
}

// Exec runs a statement as the tenant in ctx.
func Exec(t testing.TB, ctx context.Context, db *fxdb.DB, sql string) {
	t.Helper()
	_, err := db.Exec(ctx, sql)
	require.NoError(t, err)
}

// Catalog reads a column of names as the database's owner.
func Catalog(t testing.TB, db *fxdb.DB, sql string) []string {
	t.Helper()
	rows, err := testkit.OwnerPool(t, db).Query(t.Context(), sql)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// Recount calls the function schema.recount as the database's owner for tenant, and fails unless
// the server refuses the same call by the application's role.
func Recount(t testing.TB, db *fxdb.DB, schema, tenant string) {
	t.Helper()
	err := pgx.BeginFunc(t.Context(), testkit.OwnerPool(t, db), func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "select set_config('app.current_tenant', $1, true)", tenant)
		if err == nil {
			_, err = tx.Exec(t.Context(), "select "+schema+".recount()")
		}
		return err
	})
	require.NoError(t, err)
	_, err = db.Exec(As(t, tenant), "select "+schema+".recount()")
	require.True(t, IsCode(err, "42501"), "a tenant stops all writers: %v", err)
}

// Together runs n calls at once, and fails on the first error.
func Together(t testing.TB, n int, call func(i int) error) {
	t.Helper()
	errs := make(chan error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs <- call(i) })
	}
	wg.Wait()
	for range n {
		require.NoError(t, <-errs)
	}
}

// IsCode reports whether err is a server's error with the SQLSTATE code.
func IsCode(err error, code string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == code
}
