package fxdb_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestDescribeShowsWhoUsesThePoolAndHow(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	type orders struct{ db *fxdb.DB }
	type reports struct{ db *fxdb.DB }
	var db *fxdb.DB
	nothing := func(context.Context, *pgx.Conn) error { return nil }
	app := fxtest.New(t, fxdb.Module,
		testkit.Swap(t, testkit.Config(func(c *fxdb.Config) {
			c.PoolMin, c.PoolMax, c.Dedicated, c.ApplicationName = 1, 4, []string{"reports=2"}, "shop"
		})),
		fxdb.Client("orders", func(db *fxdb.DB) orders { return orders{db} }, fxdb.MaxConns(3), fxdb.Reserve(1), fxdb.Weight(2), fxdb.RequireTenant()),
		fxdb.Client("reports", func(db *fxdb.DB) reports { return reports{db} },
			fxdb.Timeouts(fxdb.ServerTimeouts{Statement: time.Minute, Lock: -1})),
		fxdb.Migrations("shop", typed), fxdb.OnConnect("types", shopTypes), fxdb.OnConnect(`a "hook"`, nothing),
		fx.Provide(fx.Annotate(func() pgx.QueryTracer { return &counting{} }, fx.ResultTags(`group:"onepool.tracers"`))),
		fx.Populate(&db), fx.Invoke(func(orders, reports) {}))
	app.RequireStart()
	defer app.RequireStop()

	d := fxdb.Describe(db)
	database := db.Monitor().Database()
	require.Equal(t, `database   `+database+`: application shop
pool       shared: 1 to 4 connections
pool       reports: 1 to 2 connections
client     app: pool shared
client     orders: pool shared, at most 3 connections, 1 reserved, weight 2, requires a tenant
client     reports: pool reports, statement timeout 1m0s, no lock timeout
migrations shop
hook       a "hook"
hook       types
tracer     *fxdb_test.counting
tracer     testkit.recorder
`, d.String())
	dot := d.DOT()
	for _, line := range []string{
		`digraph onepool {`,
		`"pool shared" -> "database ` + database + `" [style=solid];`,
		`"client orders" [label="client orders\nat most 3 connections\n1 reserved\nweight 2\nrequires a tenant"];`,
		`"client reports" -> "pool reports" [style=solid];`,
		`"migrations shop" -> "database ` + database + `" [style=dashed];`,
		`"hook a \"hook\"" -> "pool reports" [style=dotted];`,
		`"tracer *fxdb_test.counting" -> "pool shared" [style=dotted];`,
	} {
		require.Contains(t, dot, line)
	}
	t.Log(dot)
}
