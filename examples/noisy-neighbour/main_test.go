package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/examples/internal/measure"
	"github.com/agentagency/onepool/internal/testing/size"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBadFlags(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"-rounds 0", "-window 0s", "-only nothing", "argument", "-unknown"} {
		require.Error(t, run(t.Context(), strings.Fields(bad), io.Discard, io.Discard), bad)
	}
}

func TestTheTableComparesWithPlain(t *testing.T) {
	t.Parallel()
	rounds := func(floods float64, waits ...time.Duration) []outcome {
		return []outcome{{waits: waits, answers: waits, floods: floods}}
	}
	require.Equal(t, [][]string{
		{"x: plain", "1000", "2000", "2000", "2000", "400", "1.00"},
		{"x: onepool", "-", "-", "-", "-", "300", "0.75"},
	}, table([]comparison{{scenario: scenario{name: "x"}, plain: rounds(400, 2*time.Second, time.Second), shared: rounds(300)}})[1:])
}

func start(t *testing.T) *measure.Server {
	t.Helper()
	server, err := measure.StartServer(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.Background())) })
	return server
}

// Both systems take the time the same way: a statement waits while the only
// connection is busy.
func TestTheWaitIsForTheConnection(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	server := start(t)
	for name, open := range map[string]func(context.Context, string, scenario) (*system, error){"plain": openPlain, "onepool": openShared} {
		for _, tenants := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, tenants %v", name, tenants), func(t *testing.T) {
				t.Parallel()
				sys, err := open(t.Context(), server.URL(), scenario{pool: 1, tenants: tenants})
				require.NoError(t, err)
				first, err := sys.neighbours[flooder].ask(t.Context(), "select pg_sleep(0.05)")
				require.NoError(t, err)
				require.GreaterOrEqual(t, first.took-first.waited, 50*time.Millisecond, "the statement's time is no wait")

				// A busy machine may let the second caller ask late, but not by two seconds.
				sleep := fmt.Sprintf("select pg_sleep(2) -- %s %v", name, tenants)
				busy := make(chan error, 1)
				go func() {
					_, err := sys.neighbours[flooder].ask(t.Context(), sleep)
					busy <- err
				}()
				waitForQuery(t, server, sleep)
				second, err := sys.neighbours[1].ask(t.Context(), victimSQL)
				require.NoError(t, err)
				require.NoError(t, <-busy)
				require.GreaterOrEqual(t, second.waited, 10*time.Millisecond)
				t.Logf("the second caller waited %s", second.waited)
				require.NoError(t, sys.close(t.Context()))
			})
		}
	}
}

func waitForQuery(t *testing.T, server *measure.Server, query string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.Eventually(t, func() (runs bool) {
		err := conn.QueryRow(t.Context(), "select exists (select from pg_stat_activity where state = 'active' and query = $1)", query).Scan(&runs)
		return err == nil && runs
	}, time.Minute, time.Millisecond)
}

func TestTenantsOfOneClientHaveAnIdentity(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	sys, err := openShared(t.Context(), start(t).URL(), scenario{pool: 2, tenants: true})
	require.NoError(t, err)
	defer func() { require.NoError(t, sys.close(context.Background())) }()
	for i, n := range sys.neighbours {
		_, err := n.ask(t.Context(), "select 1 / (current_setting('app.current_tenant') = '"+nameOf(i)+"')::int")
		require.NoError(t, err)
	}
}

// A short run of every scenario: every neighbour gets answers, and no pool exceeds the limit.
func TestEveryScenarioRuns(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for i, s := range scenarios() {
		if !size.Soak() && i%3 != 1 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			s.pool, s.flood, s.length = 4, 20, time.Millisecond
			s.sql = strings.Replace(s.sql, "0.5", "0.05", 1)
			c := comparison{scenario: s}
			const window = 400 * time.Millisecond
			require.NoError(t, c.runRound(t.Context(), server, 0, window))
			for _, outs := range [][]outcome{c.plain, c.shared} {
				require.Len(t, outs, 1)
				require.Positive(t, outs[0].floods, "the flooder is never shut out")
				want := victims * int(window/victimEvery)
				if s.alone {
					want = 0
				}
				require.Len(t, outs[0].waits, want, "every victim is served")
			}
		})
	}
}

func TestTheWholeProgram(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestEveryScenarioRuns")
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-rounds", "1", "-window", "100ms", "-only", "tenants"}, &out, io.Discard))
	require.Regexp(t, `tenants.*: plain +\| +\d`, out.String())
	require.Regexp(t, `tenants.*: onepool +\| +\d`, out.String())
	t.Log(out.String())
}

func TestAFailureEndsTheRun(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	server := start(t)
	for _, alone := range []bool{false, true} {
		c := comparison{scenario: scenario{sql: "nonsense", pool: 2, flood: 3, alone: alone}}
		require.ErrorContains(t, c.runRound(t.Context(), server, 1, time.Second), "42601")
		require.NoError(t, server.WaitForNoBackends(t.Context()), "and leaves nothing open")
	}
}
