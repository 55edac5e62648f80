package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/fx"
	"go.uber.org/fx/fxtest"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/testkit"
)

func TestTheDemoEndsWithZeroOnAServerOf25Connections(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	server := pgfault.StartRestartable(t)
	server.Restart(t, "fast", 0, "max_connections=25")
	server.Admin(t, func(c *pgx.Conn) {
		_, err := c.Exec(t.Context(), "create database app owner "+devdb.RoleOwner)
		require.NoError(t, err)
	})
	code, out, errs := runApp(t, []string{
		"DATABASE_URL=" + server.DatabaseURL(devdb.RoleApp, "app"), "DB_MIGRATE_URL=" + server.DatabaseURL(devdb.RoleOwner, "app"), "DB_MIGRATE=true",
	}, "demo")
	t.Log(out)
	require.Zero(t, code, errs)
	for line := range strings.Lines(errs) {
		require.Contains(t, line, "pool can't use its server", "a busy machine misses a look at the server, and nothing else fails")
	}
	require.Contains(t, out, "\n240 of 240 tasks finished\n")
	require.Regexp(t, `completed +108 +72 +36`, out)
	require.Regexp(t, `of others +0 +0 +0`, out)
	require.Contains(t, out, "of the pool's, which may have 20, and")
	require.Contains(t, out, "of max_connections 25\n")
	require.Regexp(t, `connections that the server ever saw in this database: [1-9]\d*, of them \d+ while the agency worked; the pool opened \d+\n`, out)
	require.Contains(t, out, "all figures are right\n")
}

func TestTheDemoFailsWhereItsDatabaseIsNotMigrated(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestTheDemoEndsWithZeroOnAServerOf25Connections")
	code, out, errs := runApp(t, []string{"DATABASE_URL=" + testkit.DB(t).Pool().Config().ConnString()}, "demo")
	require.Equal(t, 1, code, out)
	require.Contains(t, errs, "DB_MIGRATE=true")
}

func TestTheReportFindsWrongFigures(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var c clients
	var db *fxdb.DB
	app := fxtest.New(t, agency, testkit.Swap(t), fx.NopLogger, fx.Supply(zap.NewNop()), fx.Populate(&db), fx.Invoke(func(got clients) { c = got }))
	app.RequireStart()
	defer app.RequireStop()
	books, err := library()
	require.NoError(t, err)
	actors := []actor{{"acme", "acme", 2, 20, books[:3]}, {"globex", "globex", 1, 10, books[:2]}}
	var out bytes.Buffer
	require.NoError(t, play(t.Context(), &out, c, actors), "%s", out.String())
	wrong := func() int {
		out.Reset()
		n, err := report(t.Context(), &out, db, c, actors)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, wrong(), out.String())

	// One task too many is a task, a queued one and a row.
	require.NoError(t, c.Orchestrator.Enqueue(actors[1].context(t.Context()), orchestrator.Task{ID: "more", Type: orchestrator.General}))
	require.Equal(t, 3, wrong(), out.String())
	require.Contains(t, out.String(), "11, not 10")

	// A hole is seen from both tenants, and from none.
	_, err = testkit.OwnerPool(t, db).Exec(t.Context(), "alter table knowledge.entries disable row level security")
	require.NoError(t, err)
	require.Greater(t, wrong(), 3)
	require.Regexp(t, `of others +2, not 0 +3, not 0`, out.String())
	require.Contains(t, out.String(), "without a tenant 5 rows are seen")
}

func TestTheWatcherCountsOnlyThePoolsConnections(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	server := pgfault.Start(t)
	cfg := fxdb.Config{URL: server.AppURL(), PoolMin: 3, PoolMax: 3, ApplicationName: fmt.Sprint("watched-", t.Name()[:8]), Dedicated: []string{watcher + "=1"}}
	db, err := fxdb.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close(context.WithoutCancel(t.Context()))) }()
	server.Admin(t, func(*pgx.Conn) { // one of somebody else's
		var seen sighting
		require.Eventually(t, func() bool { // the pool fills itself up
			w := startWatch(t.Context(), db.Named(watcher))
			var err error
			seen, err = w.end()
			return err == nil && seen.pool == 3 && seen.all == 4 // nor does a probe last
		}, 10*time.Second, 10*time.Millisecond)
		require.Equal(t, 1000, seen.limit)
		require.Equal(t, 1, seen.looks)

		// A session is counted once it has had a moment of rest.
		before := seen.ever
		server.Admin(t, func(admin *pgx.Conn) {
			require.NoError(t, admin.QueryRow(t.Context(), "select 1").Scan(new(int)))
		})
		require.Eventually(t, func() bool {
			w := startWatch(t.Context(), db.Named(watcher))
			seen, err := w.end()
			return err == nil && seen.ever > before && seen.ever >= 5
		}, 10*time.Second, 10*time.Millisecond)
	})
}

func TestAnInterruptedDemoSaysSo(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestTheDemoEndsWithZeroOnAServerOf25Connections")
	cmd := command(nil, "demo")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "tasks finished") {
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
	_, _ = io.Copy(io.Discard, out)
	require.Error(t, cmd.Wait())
	require.Equal(t, 1, cmd.ProcessState.ExitCode())
	require.Equal(t, "stop: the demo was interrupted\n", errs.String())
}
