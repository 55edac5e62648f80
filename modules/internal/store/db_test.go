package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/internal/store"
	"github.com/agentagency/onepool/tenant"
	"github.com/agentagency/onepool/testkit"
)

const whoSQL = "select coalesce(current_setting('app.current_tenant', true), '') as who"

type who struct{ Who string }

func newDB(t testing.TB, defaultTenant string) *store.DB {
	t.Helper()
	db, err := store.New("test", testkit.DB(t), defaultTenant, 0)
	require.NoError(t, err)
	return db
}

// asked is what every way to the database says whose it is.
func asked(t testing.TB, ctx context.Context, db *store.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	add := func(name, who string, err error) {
		require.NoError(t, err, name)
		out[name] = who
	}
	one, err := store.One[who](ctx, db, whoSQL, nil)
	add("One", one.Who, err)
	many, err := store.Many[who](ctx, db, whoSQL, nil)
	require.Len(t, many, 1)
	add("Many", many[0].Who, err)
	value, err := store.Value[string](ctx, db, whoSQL, nil)
	add("Value", value, err)
	after, err := store.After[who](ctx, db, "select 1", whoSQL, nil)
	require.Len(t, after, 1)
	add("After", after[0].Who, err)
	rows, err := db.Query(ctx, whoSQL)
	require.NoError(t, err)
	queried, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	add("Query", queried, err)
	rows, err = db.Query(ctx, "with w as ("+whoSQL+") select who from w")
	require.NoError(t, err)
	queried, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
	add("Query of an expression", queried, err)
	b := &pgx.Batch{}
	b.Queue(whoSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&queried) })
	add("SendBatch", queried, db.SendBatch(ctx, b).Close())
	var text string
	err = db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return tx.QueryRow(ctx, whoSQL).Scan(&text) })
	add("InTx", text, err)
	_, err = db.Exec(ctx, "do $$ begin if coalesce(current_setting('app.current_tenant', true), '') <> '"+value+"' then raise 'another'; end if; end $$")
	add("Exec", value, err)
	return out
}

func TestTheDefaultTenantIsForContextsThatHaveNothing(t *testing.T) {
	t.Parallel()
	acme := tenant.NewContext(t.Context(), tenant.Identity{Tenant: "acme"})
	system := tenant.System(t.Context(), "test")
	for name, c := range map[string]struct {
		fallback string
		ctx      context.Context
		want     string
	}{
		"nothing and no default":   {"", t.Context(), ""},
		"a tenant and no default":  {"", acme, "acme"},
		"nothing and a default":    {"default-tenant", t.Context(), "default-tenant"},
		"a tenant and a default":   {"default-tenant", acme, "acme"},
		"the system and a default": {"default-tenant", system, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for way, who := range asked(t, c.ctx, newDB(t, c.fallback)) {
				require.Equal(t, c.want, who, way)
			}
		})
	}
}

func TestNewDBRefuses(t *testing.T) {
	t.Parallel()
	_, err := store.New("test", nil, "", 0)
	require.EqualError(t, err, "test: Params.DB is nil: give it a *fxdb.DB")
	_, err = store.New("test", testkit.DB(t), " ", 0)
	require.ErrorIs(t, err, tenant.ErrInvalid)
	require.ErrorContains(t, err, "test: Config.DefaultTenant: ")
}

func TestRowsAreCounted(t *testing.T) {
	t.Parallel()
	db := newDB(t, "acme")
	type row struct{ N int }
	numbers := func(n int) (string, pgx.NamedArgs) {
		return "select n from generate_series(1, @n::int) n", pgx.NamedArgs{"n": n}
	}
	sql, none := numbers(0)
	_, err := store.One[row](t.Context(), db, sql, none)
	require.ErrorIs(t, err, pgx.ErrNoRows)
	_, err = store.Value[int](t.Context(), db, sql, none)
	require.ErrorIs(t, err, pgx.ErrNoRows)
	all, err := store.Many[row](t.Context(), db, sql, none)
	require.NoError(t, err)
	require.NotNil(t, all)
	require.Empty(t, all)
	sql, two := numbers(2)
	_, err = store.One[row](t.Context(), db, sql, two)
	require.ErrorIs(t, err, pgx.ErrTooManyRows)
	all, err = store.Many[row](t.Context(), db, sql, two)
	require.NoError(t, err)
	require.Equal(t, []row{{1}, {2}}, all)
}

func TestAfterIsOneTransaction(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDB(t, "acme")
	type row struct{ Value string }
	rows, err := store.After[row](t.Context(), db, "select set_config('test.value', @v, true)",
		"select current_setting('test.value', true) as value where @v::text <> ''", pgx.NamedArgs{"v": "kept"})
	require.NoError(t, err)
	require.Equal(t, []row{{"kept"}}, rows)
	for name, sql := range map[string][2]string{"the first": {"select 1/0", "select '' as value"}, "the second": {"select 1", "select (1/0)::text as value"}} {
		rows, err := store.After[row](t.Context(), db, sql[0], sql[1], nil)
		require.ErrorContains(t, err, "22012", name)
		require.Nil(t, rows)
	}
}

func TestTheEndOfThePoolIsAnError(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := newDB(t, "acme")
	require.Eventually(t, func() bool { return db.Available(t.Context()) }, time.Minute, 10*time.Millisecond) // a busy server may be late
	require.NoError(t, db.Close(t.Context()))
	require.False(t, db.Available(t.Context()))
	_, err := store.One[who](t.Context(), db, whoSQL, nil)
	require.ErrorIs(t, err, fxdb.ErrDraining)
	_, err = store.Many[who](t.Context(), db, whoSQL, nil)
	require.ErrorIs(t, err, fxdb.ErrDraining)
	_, err = store.Value[string](t.Context(), db, whoSQL, nil)
	require.ErrorIs(t, err, fxdb.ErrDraining)
	_, err = store.After[who](t.Context(), db, whoSQL, whoSQL, nil)
	require.ErrorIs(t, err, fxdb.ErrDraining)
}

func TestProbeDoesNotWaitForLong(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db, err := store.New("test", testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMin, c.PoolMax = 1, 1 })), "", 0)
	require.NoError(t, err)
	took, err := db.Probe(t.Context())
	require.NoError(t, err)
	require.Positive(t, took)
	tx, err := db.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context())
	took, err = db.Probe(t.Context())
	require.ErrorIs(t, err, context.DeadlineExceeded, "the one connection is out")
	require.Less(t, took, 5*time.Second, "DB_CONNECTION_TIMEOUT_MS is longer")
}
