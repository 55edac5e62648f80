//go:build linux || darwin

package devdb

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestOwnServerStartsAndStopLeavesNothing(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	s, err := Start(t.Context(), inDirs(base, testCache))
	require.NoError(t, err)

	conn := connect(t, s.URL())
	var version string
	require.NoError(t, conn.QueryRow(t.Context(), "select version()").Scan(&version))
	require.Contains(t, version, "PostgreSQL "+s.version)
	require.Contains(t, s.String(), "PostgreSQL "+s.version+" from "+s.bindir)
	require.Contains(t, s.String(), "data in "+s.dir)
	f := mustFacts(t, s)

	require.NoError(t, s.Stop(t.Context()), "although a connection is open")
	require.ErrorIs(t, syscall.Kill(f.Pid, 0), syscall.ESRCH)
	require.True(t, gone(s.dir))
	requireNothingLeft(t, base)
	require.NoError(t, s.Stop(t.Context()), "again")
}

func TestSettingsReplaceTheServersOwn(t *testing.T) {
	size.SkipShort(t)
	s := start(t, inDirs(newBase(t), testCache), Settings("autovacuum=on", "work_mem=5MB"))
	conn := connect(t, s.URL())
	var autovacuum, workMem, jit string
	require.NoError(t, conn.QueryRow(t.Context(), "select current_setting('autovacuum'), current_setting('work_mem'), current_setting('jit')").Scan(&autovacuum, &workMem, &jit))
	require.Equal(t, []string{"on", "5MB", "off"}, []string{autovacuum, workMem, jit})

	_, err := Start(t.Context(), Shared(), Settings("autovacuum=on"))
	require.ErrorContains(t, err, "leave Shared out")
}

func TestStopWithEndedContextIsGivenASecond(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	s := start(t, inDirs(base, testCache))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, s.Stop(ctx))
	requireNothingLeft(t, base)
}

func TestStopKillsWhatDoesNotStop(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	s, err := Start(t.Context(), inDirs(base, testCache))
	require.NoError(t, err)
	pid := mustFacts(t, s).Pid
	// A stopped process does not get to its signal handlers.
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))

	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	err = s.Stop(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "was killed")
	requireNothingLeft(t, base)
}

func TestServerIsReachableUnderOddNames(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t) + ` +&%"é`
	s := start(t, inDirs(base, testCache))
	admin := connect(t, s.URL())
	for _, sql := range []string{`create role "r +&%/é"  login`, `create database "d +&%/é"`} {
		_, err := admin.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	conn := connect(t, s.DatabaseURL("r +&%/é", "d +&%/é"))
	var role, database string
	require.NoError(t, conn.QueryRow(t.Context(), "select current_user, current_database()").Scan(&role, &database))
	require.Equal(t, []string{"r +&%/é", "d +&%/é"}, []string{role, database})
}

func TestPathThatNoClientCouldUseIsRefused(t *testing.T) {
	size.SkipShort(t)
	for _, odd := range []string{strings.Repeat("x", 80), "a,b"} {
		base := newBase(t) + odd
		_, err := Start(t.Context(), inDirs(base, testCache))
		require.ErrorContains(t, err, "set TMPDIR")
		requireNothingLeft(t, base)
	}
}

func TestClientSettingsDoNotReachTheServer(t *testing.T) {
	size.SkipShort(t)
	t.Setenv("PGPORT", "6543")
	t.Setenv("PGSSLMODE", "verify-full")
	t.Setenv("TZ", "America/New_York")
	s := start(t, inDirs(newBase(t), testCache))
	var zone string
	require.NoError(t, connect(t, s.URL()).QueryRow(t.Context(), "show timezone").Scan(&zone))
	require.Contains(t, zone, "UTC")
}

func TestRolesOfAnApplication(t *testing.T) {
	size.SkipShort(t)
	s := start(t, inDirs(newBase(t), testCache))
	admin := connect(t, s.URL())
	rows, err := admin.Query(t.Context(), `select rolname from pg_roles
		where rolname = any($1) and rolcanlogin and not (rolsuper or rolbypassrls or rolcreatedb or rolcreaterole)
		order by rolname`, []string{RoleOwner, RoleApp})
	require.NoError(t, err)
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	require.Equal(t, []string{RoleApp, RoleOwner}, roles)

	_, err = admin.Exec(t.Context(), "create database shop owner "+RoleOwner)
	require.NoError(t, err)
	owner := connect(t, s.DatabaseURL(RoleOwner, "shop"))
	for _, sql := range []string{
		"create table item (id bigserial primary key, name text)",
		"create schema inner_life",
		"create table inner_life.secret (id int)",
	} {
		_, err = owner.Exec(t.Context(), sql)
		require.NoError(t, err)
	}

	app := connect(t, s.DatabaseURL(RoleApp, "shop"))
	for _, sql := range []string{
		"insert into item (name) values ('tea'), ('milk')", // uses the sequence, too
		"update item set name = 'coffee' where name = 'tea'",
		"delete from item where name = 'milk'",
		"insert into inner_life.secret values (1)",
	} {
		_, err = app.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	var name string
	require.NoError(t, app.QueryRow(t.Context(), "select name from item").Scan(&name))
	require.Equal(t, "coffee", name)
	_, err = app.Exec(t.Context(), "create table mine (id int)")
	require.ErrorContains(t, err, "permission denied")
}

func TestStartHonoursContext(t *testing.T) {
	base := newBase(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, inDirs(base, testCache))
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, gone(base))
}

func TestStartInterruptedAnywhereLeavesNothing(t *testing.T) {
	size.SkipUnlessSoak(t, "TestStartInterruptedDuringInitdbLeavesNothing")
	base := newBase(t)
	_ = start(t, inDirs(base, testCache)).Stop(t.Context()) // so that the template is there
	for limit := 2 * time.Millisecond; ; limit += 15 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		s, err := Start(ctx, inDirs(base, testCache))
		cancel()
		if err == nil {
			require.NoError(t, s.Stop(t.Context()))
			return
		}
		require.ErrorIs(t, err, context.DeadlineExceeded)
		requireNothingLeft(t, base)
	}
}

func TestStartInterruptedDuringInitdbLeavesNothing(t *testing.T) {
	size.SkipShort(t)
	base, cache := newBase(t), t.TempDir()
	for _, limit := range []time.Duration{60 * time.Millisecond, 120 * time.Millisecond, 240 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, err := Start(ctx, inDirs(base, cache))
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		requireNothingLeft(t, base)
		left, err := filepath.Glob(filepath.Join(cache, "*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
}

func TestWaitForAnotherStarterHonoursContext(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	require.NoError(t, start(t, inDirs(base, testCache)).Stop(t.Context()))
	unlock, err := lock(t.Context(), filepath.Join(base, "start.lock"))
	require.NoError(t, err)
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err = Start(ctx, inDirs(base, testCache), Shared())
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "another process")
}

func TestServerThatCannotStartShowsItsLog(t *testing.T) {
	size.SkipShort(t)
	base := newBase(t)
	saved := serverSettings
	defer func() { serverSettings = saved }()
	serverSettings = slices.Concat(saved, []string{"shared_buffers=nonsense"})
	for _, opts := range [][]Option{{}, {Shared()}} {
		_, err := Start(t.Context(), append(opts, inDirs(base, t.TempDir()))...)
		require.ErrorContains(t, err, `invalid value for parameter "shared_buffers"`)
		requireNothingLeft(t, base)
	}
}

func TestUnsupportedErrorSaysWhatToDo(t *testing.T) {
	err := error(&UnsupportedError{OS: "windows"})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorContains(t, err, "not supported on windows; set DATABASE_URL")
}
