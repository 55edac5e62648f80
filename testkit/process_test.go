package testkit_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
	"github.com/agentagency/onepool/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv("TESTKIT_MAIN") != "" {
		os.Exit(testkit.Main(m))
	}
	os.Exit(m.Run())
}

// TestInAnotherProcess runs the test that TESTKIT_PROCESS names, and nothing else.
func TestInAnotherProcess(t *testing.T) {
	if run, ok := processes[os.Getenv("TESTKIT_PROCESS")]; ok {
		run(t)
	}
}

var processes = map[string]func(*testing.T){
	"goleak": func(t *testing.T) {
		for range 4 {
			t.Run("a test", func(t *testing.T) {
				db := testkit.DB(t, testkit.Migrations("notes", notes))
				require.NoError(t, testkit.OwnerPool(t, db).Ping(t.Context()))
			})
		}
		require.NoError(t, goleak.Find())
	},
	"crowd": func(t *testing.T) {
		for i := range 12 {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				db := testkit.DB(t, testkit.Config(func(c *fxdb.Config) { c.PoolMax = 1 }))
				_, err := db.Exec(t.Context(), "select pg_sleep(0.02)")
				require.NoError(t, err)
			})
		}
	},
	"several tests": func(t *testing.T) {
		for range 6 {
			t.Run("a test", func(t *testing.T) { require.NoError(t, testkit.DB(t).Ping(t.Context())) })
		}
	},
	"open before the test asks": func(t *testing.T) {
		ahead, tests := false, 6
		if os.Getenv("TESTKIT_MAIN") != "" {
			tests = 500 // a slow machine opens no pool between two tests that do nothing
		}
		for i := 0; i < tests && !ahead; i++ {
			t.Run("a test", func(t *testing.T) {
				asked := time.Now()
				db := testkit.DB(t)
				var began time.Time
				require.NoError(t, db.QueryRow(t.Context(), "select backend_start from pg_stat_activity where pid = pg_backend_pid()").Scan(&began))
				ahead = began.Before(asked)
			})
		}
		require.Equal(t, os.Getenv("TESTKIT_MAIN") != "", ahead)
		eventually(t, "the kit closes the pools that no test has taken", func() bool { return goleak.Find() == nil })
	},
	"wait for the kill": func(t *testing.T) {
		for range 3 {
			testkit.DB(t, testkit.Migrations("notes", notes))
		}
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
	},
	"use the template": func(t *testing.T) {
		db := testkit.DB(t, testkit.Migrations("notes", notes))
		require.NoError(t, db.Ping(t.Context()))
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
	},
}

// ownServer starts a server of a user's own.
func ownServer(t *testing.T) (url string, admin *pgx.Conn) {
	t.Helper()
	server, err := devdb.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.Background())) })
	admin, err = pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { admin.Close(context.Background()) })
	return server.URL(), admin
}

// process prepares a process that runs one of processes.
func process(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestInAnotherProcess$", "-test.v", "-test.parallel=12")
	cmd.Env = append(append(os.Environ(), "TESTKIT_PROCESS="+name), env...)
	return cmd
}

func runProcess(t *testing.T, name string, env ...string) {
	t.Helper()
	out, err := process(t, name, env...).CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// startProcess returns when the process says that it is ready. end kills the process, or
// lets the process end.
func startProcess(t *testing.T, name string, env ...string) (end func(kill bool)) {
	t.Helper()
	cmd := process(t, name, env...)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && !strings.Contains(lines.Text(), "ready") {
		t.Log(lines.Text())
	}
	return func(kill bool) {
		if kill {
			require.NoError(t, cmd.Process.Kill())
		}
		require.NoError(t, stdin.Close())
		_, _ = io.Copy(io.Discard, stdout)
		err := cmd.Wait()
		require.Equal(t, kill, err != nil)
	}
}

func databasesOf(t *testing.T, admin *pgx.Conn, prefix string) []string {
	t.Helper()
	rows, err := admin.Query(t.Context(), "select datname from pg_database where starts_with(datname, $1)", prefix)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// eventually polls until the condition holds; only a hang breaks the bound.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !cond(); <-tick.C {
		require.True(t, time.Now().Before(deadline), "waited in vain: %s", what)
	}
}

func TestTheKitLeavesNoGoroutine(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	runProcess(t, "goleak")
}

func TestMainOpensThePoolOfTheNextTest(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	runProcess(t, "open before the test asks")
	runProcess(t, "open before the test asks", "TESTKIT_MAIN=1")
}

// The server refuses a connection with 53300 (too many connections) for a role's limit as
// for its own.
func TestTestsWaitForAConnectionOfACrowdedServer(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url, admin := ownServer(t)
	_, err := admin.Exec(t.Context(), "alter role "+devdb.RoleApp+" connection limit 3")
	require.NoError(t, err)
	runProcess(t, "crowd", "TEST_DATABASE_URL="+url)
}

func TestTheNextRunDropsWhatAKilledRunHasLeft(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url, admin := ownServer(t)
	env := "TEST_DATABASE_URL=" + url
	end := startProcess(t, "wait for the kill", env)
	living := startProcess(t, "use the template", env)
	require.NotEmpty(t, databasesOf(t, admin, "onepool_test_"))
	end(true)
	next := startProcess(t, "use the template", env)
	eventually(t, "the databases of the killed run are dropped", func() bool {
		var orphans int
		require.NoError(t, admin.QueryRow(t.Context(), `select count(*) from pg_database d where starts_with(datname, 'onepool_test_')
			and not exists (select from pg_stat_activity where application_name = 'onepool testkit ' || split_part(d.datname, '_', 3))`).Scan(&orphans))
		return orphans == 0
	})
	require.NotEmpty(t, databasesOf(t, admin, "onepool_test_"), "those of the living")
	require.Len(t, databasesOf(t, admin, "onepool_template_"), 1, "in use")
	living(false)
	next(false)
}

func TestARunDropsATemplateAndAFailedTestsDatabaseThatNobodyUsed(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url, admin := ownServer(t)
	env := "TEST_DATABASE_URL=" + url
	exec := func(sql string) {
		t.Helper()
		_, err := admin.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	for name, comment := range map[string]string{
		"onepool_template_old":      "onepool testkit, used 2026-01-01 00:00:00+00",
		"onepool_template_unmarked": "",
		"onepool_test_failed_1":     "onepool testkit, used 2026-01-01 00:00:00+00",
		"onepool_test_failed_2":     "onepool testkit, used 2100-01-01 00:00:00+00",
		"onepool_template_new":      "onepool testkit, used 2100-01-01 00:00:00+00",
		"onepool_tester":            "",
	} {
		exec("create database " + name)
		if strings.HasPrefix(name, "onepool_template") {
			exec("alter database " + name + " with is_template true")
		}
		exec("comment on database " + name + " is '" + comment + "'")
	}
	end := startProcess(t, "use the template", env)
	eventually(t, "the old ones are dropped", func() bool {
		return len(databasesOf(t, admin, "onepool_template_old")) == 0 &&
			len(databasesOf(t, admin, "onepool_template_unmarked")) == 0 &&
			len(databasesOf(t, admin, "onepool_test_failed_1")) == 0
	})
	end(false)
	for _, name := range []string{"onepool_test_failed_2", "onepool_template_new", "onepool_tester"} {
		require.NotEmpty(t, databasesOf(t, admin, name), name)
	}
}

func TestMainLeavesNoDatabaseOnAServerOfTheUsers(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	url, admin := ownServer(t)
	runProcess(t, "several tests", "TEST_DATABASE_URL="+url)
	require.NotEmpty(t, databasesOf(t, admin, "onepool_test_"), "the test proves nothing")
	runProcess(t, "several tests", "TEST_DATABASE_URL="+url, "TESTKIT_MAIN=1")
	require.Empty(t, databasesOf(t, admin, "onepool_test_"))
}
