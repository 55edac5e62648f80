package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules"
	"github.com/agentagency/onepool/testkit"
)

// The commit of every write fails: what the statement said is no success then.
func TestInvariantI7SuccessMeansCommitted(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	h := newHouse(t, testkit.Swap(t))
	owner, acme := testkit.OwnerPool(t, h.db), asAcme(t.Context())
	rows := func(table string) (n int) {
		require.NoError(t, h.db.QueryRow(acme, "select count(*) from "+table).Scan(&n))
		return n
	}
	for name, write := range h.writes("kept") {
		require.NoError(t, write(acme), name)
		require.Equal(t, 1, rows(roots[name]), name)
	}
	_, err := owner.Exec(t.Context(), `
create schema late;
create function late.refuse() returns trigger language plpgsql as $$ begin raise exception 'too late'; end $$`)
	require.NoError(t, err)
	for _, table := range roots {
		_, err := owner.Exec(t.Context(), "create constraint trigger refused after insert on "+table+
			" deferrable initially deferred for each row execute function late.refuse()")
		require.NoError(t, err)
	}
	for name, write := range h.writes("lost") {
		require.ErrorContains(t, write(acme), "P0001", name)
		require.Equal(t, 1, rows(roots[name]), name)
	}
	n, err := h.Orchestrator.CancelQueued(acme)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	n, err = h.Agents.DeleteStale(acme, time.Microsecond)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.Zero(t, rows("registry.agents"))
}

// Every statement is slow enough to be logged, and each client is refused by the
// server, which repeats the values in its message.
func TestInvariantI8NoLogAndNoErrorHoldsAValueOrThePassword(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	const value, password = "walrus-4711", "swordfish-0815"
	server, config := ownServer(t, func(c *fxdb.Config) {
		c.Password, c.SlowQuery = password, time.Nanosecond
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", *c, *c, *c, *c), password)
	})
	h := newHouse(t, config)
	acme := asAcme(t.Context())
	var said strings.Builder
	for name, write := range h.writes(value) {
		require.NoError(t, write(acme), name)
	}
	owner, err := pgx.Connect(t.Context(), server.DatabaseURL(devdb.RoleOwner, "app"))
	require.NoError(t, err)
	defer owner.Close(context.WithoutCancel(t.Context()))
	_, err = owner.Exec(t.Context(), `
create schema talk;
create function talk.refuse() returns trigger language plpgsql as $$ begin raise exception '%', new using detail = new; end $$`)
	require.NoError(t, err)
	for _, table := range roots {
		_, err := owner.Exec(t.Context(), "create trigger a_talk before insert on "+table+" for each row execute function talk.refuse()")
		require.NoError(t, err)
	}
	for name, write := range h.writes("new " + value) {
		err := write(acme)
		require.ErrorContains(t, err, "P0001", name)
		var refusal *pgconn.PgError
		require.ErrorAs(t, err, &refusal, name)
		require.Contains(t, refusal.Message, value, "%s: the server has reported nothing", name)
		fmt.Fprintf(&said, "%v %+v\n", err, err)
	}
	for _, e := range h.logs.All() {
		fmt.Fprintln(&said, e.Message, e.ContextMap())
	}
	require.Contains(t, said.String(), "slow")
	require.NotContains(t, said.String(), value)
	require.NotContains(t, said.String(), password)
}

// Two processes start at once on an empty database. Both serve, each migration ran
// once and in order. A process whose migrations are newer than the database refuses.
func TestInvariantI10MigrationsRunOnceInOrderAndAnOlderSchemaIsRefused(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "fxdb's TestMigrationsRunOnceForManyStarts")
	server, config := ownServer(t, nil)
	var both sync.WaitGroup
	houses := make([]*house, 2)
	for i := range houses {
		both.Go(func() { houses[i] = newHouse(t, config) })
	}
	both.Wait()
	owner, err := pgx.Connect(t.Context(), server.DatabaseURL(devdb.RoleOwner, "app"))
	require.NoError(t, err)
	defer owner.Close(context.WithoutCancel(t.Context()))
	cfg := fxdb.Config{URL: server.DatabaseURL(devdb.RoleApp, "app"), PoolMax: 4}
	for name := range roots {
		require.NotNil(t, houses[0].db, name)
		versions := "onepool." + name + "_versions"
		rows, err := owner.Query(t.Context(), "select version_id from "+versions+" where version_id > 0 order by id")
		require.NoError(t, err)
		ran, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		require.NoError(t, err)
		require.NotEmpty(t, ran, name)
		for i, v := range ran {
			require.EqualValues(t, i+1, v, "%s: %v", name, ran)
		}

		_, err = owner.Exec(t.Context(), "delete from "+versions+" where version_id = $1", len(ran))
		require.NoError(t, err)
		late := fxtest.New(t, agency, fx.NopLogger, fx.Supply(zap.NewNop()), fx.Replace(cfg), fx.Invoke(func(clients) {}))
		require.ErrorIs(t, late.Start(t.Context()), modules.ErrSchema, name)
		require.NoError(t, late.Stop(context.WithoutCancel(t.Context())))
		_, err = owner.Exec(t.Context(), "insert into "+versions+" (version_id, is_applied) values ($1, true)", len(ran))
		require.NoError(t, err)
	}
}
