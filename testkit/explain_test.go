package testkit_test

import (
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

var orders = fstest.MapFS{"00001_orders.sql": {Data: []byte(`-- +goose Up
create schema shop;
create table shop.orders (id bigint primary key, customer text not null, note text);
insert into shop.orders select n, 'c' || n % 50, 'x' from generate_series(1, 2000) n;
create index on shop.orders (customer);
create table shop.days (day date not null, note text) partition by range (day);
create table shop.days_2026 partition of shop.days for values from ('2026-01-01') to ('2027-01-01');
create table shop.few (id int primary key);
insert into shop.few values (1), (2);
analyze shop.orders, shop.few;
`)}}

func TestExplainFindsAScanThatNoIndexFits(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Migrations("shop", orders))
	for name, c := range map[string]struct {
		sql   string
		args  []any
		table string
		want  string // "" for no complaint
	}{
		"indexed":          {"select * from shop.orders where customer = $1", []any{"c1"}, "shop.orders", ""},
		"a small table":    {"select * from shop.few where id = 1", nil, "shop.few", ""},
		"short name":       {"select * from shop.orders where note = 'x'", nil, "orders", "reads shop.orders as a whole"},
		"not indexed":      {"select * from shop.orders where note = $1", []any{"x"}, "shop.orders", "reads shop.orders as a whole"},
		"another table":    {"select * from shop.days where note = 'x'", nil, "shop.orders", ""},
		"a partition":      {"select * from shop.days where note = 'x'", nil, "shop.days", "reads shop.days_2026 as a whole"},
		"below a join":     {"select * from shop.orders o join shop.days d on d.note = o.note", nil, "shop.orders", "reads shop.orders as a whole"},
		"an update":        {"update shop.orders set note = 'y' where note = 'x'", nil, "shop.orders", "reads shop.orders as a whole"},
		"an unknown table": {"select 1", nil, "shop.order", "the database has no table shop.order"},
	} {
		t.Run(name, func(t *testing.T) {
			got := &complaints{TB: t}
			testkit.Explain(t.Context(), got, db, c.sql, c.args...).NoSeqScan(c.table)
			if c.want == "" {
				require.Empty(t, got.all)
				return
			}
			require.Len(t, got.all, 1)
			require.Contains(t, got.all[0], c.want)
		})
	}
	var changed int
	require.NoError(t, db.QueryRow(t.Context(), "select count(*) from shop.orders where note = 'y'").Scan(&changed))
	require.Zero(t, changed, "Explain ran the statement")
}

func TestExplainComparesTheCost(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Migrations("shop", orders))
	plan := testkit.Explain(t.Context(), t, db, "select * from shop.orders where id = 1").CostAtMost(20)
	require.Contains(t, plan.Text, "Index Scan")
	got := &complaints{TB: t}
	all := testkit.Explain(t.Context(), got, db, "select * from shop.orders").CostAtMost(20)
	require.Len(t, got.all, 1)
	require.Contains(t, got.all[0], "the bound is 20.00")
	require.Greater(t, all.Cost, plan.Cost)
}

// The planner knows the value in the custom plan only: a partial index fits the value 'open', and
// fits no parameter.
func TestExplainShowsTheGenericPlanToo(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	db := testkit.DB(t, testkit.Migrations("shop", orders))
	_, err := testkit.OwnerPool(t, db).Exec(t.Context(), "create index on shop.orders (id) where note = 'open'")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		sql  string
		args []any
	}{
		"by place": {"select id from shop.orders where note = $1", []any{"open"}},
		"by name":  {"select id from shop.orders where note = @note", []any{pgx.NamedArgs{"note": "open"}}},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the name of the prepared statement is free again
				got := &complaints{TB: t}
				plan := testkit.Explain(t.Context(), got, db, c.sql, c.args...).NoSeqScan("shop.orders")
				require.Empty(t, got.all)
				require.Contains(t, plan.Text, "orders_id_idx")
				generic := plan.Generic()
				require.Contains(t, generic.Text, "$1")
				require.Greater(t, generic.Cost, plan.Cost)
				require.Same(t, generic, generic.Generic())
				generic.NoSeqScan("shop.orders")
				require.Len(t, got.all, 1)
				require.Contains(t, got.all[0], "reads shop.orders as a whole")
			}
		})
	}
	testkit.Explain(t.Context(), t, db, "select id from shop.orders where id = 1").Generic().NoSeqScan("shop.orders").CostAtMost(20)
	require.Zero(t, db.Stats().TaintClosed+db.Stats().TaintReset)
}
