package rls_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/tenant/rls"
)

// A policy with an IMMUTABLE helper passes every test of one transaction. It
// leaks when a prepared statement is used again on the same connection, which is
// what pgx does by default: at once without arguments, and from the seventh time
// with one, when the server has gone over to a generic plan.
func TestAnImmutableHelperReadsForeignRowsAndVerifyFindsIt(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for _, c := range []struct {
		name       string
		volatility string
		sql        string
		args       []any
		leaksFrom  int // the first transaction that reads foreign rows, 0: none
	}{
		{"immutable", "immutable", "select tenant_id from shop.orders", nil, 2},
		{"immutable with an argument", "immutable", "select tenant_id from shop.orders where id = $1", []any{1}, 7},
		{"stable", "stable", "select tenant_id from shop.orders", nil, 0},
		{"stable with an argument", "stable", "select tenant_id from shop.orders where id = $1", []any{1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newDatabase(t, shop, `create function shop.tenant() returns text language sql `+c.volatility+`
				as $$ select nullif(current_setting('app.current_tenant', true), '') $$;
				alter policy tenant_select on shop.orders using (tenant_id = shop.tenant())`)
			conn := p.connect(t, p.app) // pgx's defaults: statements are prepared and cached

			leaksFrom := 0
			for n := 1; n <= 20; n++ {
				me := []string{"acme", "globex"}[n%2]
				if read := readAs(t, conn, me, c.sql, c.args...); leaksFrom == 0 && (len(read) != 1 || read[0] != me) {
					leaksFrom = n
					require.Len(t, read, 1)
					require.NotEqual(t, me, read[0], "foreign rows")
				}
			}
			require.Equal(t, c.leaksFrom, leaksFrom)

			r, err := rls.Verify(t.Context(), conn)
			require.NoError(t, err)
			f, found := codes(r)["policy-immutable"]
			require.Equal(t, c.leaksFrom > 0, found, r.String())
			require.Equal(t, c.leaksFrom == 0, r.OK())
			if !found {
				return
			}
			require.Equal(t, "shop.orders.tenant_select", f.Object)
			require.Equal(t, rls.FailOpen, f.Direction)

			p.exec(t, f.Fix) // what the finding says mends it
			fresh := p.connect(t, p.app)
			for n := 1; n <= 20; n++ {
				me := []string{"acme", "globex"}[n%2]
				require.Equal(t, []string{me}, readAs(t, fresh, me, c.sql, c.args...))
			}
			require.NotContains(t, codes(p.verify(t)), "policy-immutable")
		})
	}
}

// readAs reads in a transaction that sets the tenant as it should be set.
func readAs(t *testing.T, conn *pgx.Conn, me, sql string, args ...any) []string {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(context.Background())
	_, err = tx.Exec(t.Context(), "select set_config('app.current_tenant', $1, true)", me)
	require.NoError(t, err)
	rows, err := tx.Query(t.Context(), sql, args...)
	require.NoError(t, err)
	read, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	return read
}
