package bench

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

// run is one process: the whole time, and the median of what a test waits for its pool.
type run struct{ whole, foreground float64 } // milliseconds

func median(runs []run, of func(run) float64) float64 {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b run) int { return cmp.Compare(of(a), of(b)) })
	return of(sorted[len(sorted)/2])
}

// TestCompare prints figures and asserts none.
func TestCompare(t *testing.T) {
	rounds, tests := 1, 4
	if asked := os.Getenv("ONEPOOL_BENCH_ROUNDS"); asked != "" {
		var err error
		rounds, err = strconv.Atoi(asked)
		require.NoError(t, err)
		tests = 50
	}
	server, err := devdb.Start(t.Context(), devdb.Shared())
	require.NoError(t, err)
	defer server.Stop(context.Background()) //nolint:errcheck // a shared server is only let go
	binaries := binariesOf(t, server.URL())
	only := os.Getenv("ONEPOOL_BENCH_ONLY") // the number of a case, to spread the cases over several runs
	for i, c := range []struct {
		parallel string
		work     time.Duration
		own      bool // the server outlives the tests: each kit drops what it made
	}{
		{"1", 0, false}, {"8", 0, false}, {"1", 20 * time.Millisecond, false}, {"8", 20 * time.Millisecond, false},
		{"1", 0, true}, {"1", 20 * time.Millisecond, true}, {"8", 20 * time.Millisecond, true},
	} {
		if only != "" && only != strconv.Itoa(i) {
			continue
		}
		results := map[string][]run{}
		for round := range rounds + 1 { // the first warms up
			for _, kit := range kits {
				startsOwn := slices.Contains(kits[2:], kit)
				if startsOwn && (c.own || c.parallel != "1" || tests < 50 && i > 0 || round > 1) {
					continue // ten times as slow
				}
				env := []string{envKit + "=" + kit, envServer + "=" + server.URL(), envTests + "=" + strconv.Itoa(tests),
					envParallel + "=" + c.parallel, envWork + "=" + c.work.String(), envBinaries + "=" + binaries}
				if c.own {
					env = append(env, "TEST_DATABASE_URL="+server.URL())
				}
				results[kit] = append(results[kit], suite(t, c.parallel, startsOwn, env))
			}
		}
		for _, other := range kits[1:] {
			if len(results[other]) > 0 {
				what := fmt.Sprintf("%s parallel, %v of work, own server %v, beside %s", c.parallel, c.work, c.own, other)
				report(t, what, results[kits[0]][1:], results[other][1:])
			}
		}
	}
}

// kits are the kits. All but the first two start a server in each process.
var kits = []string{"onepool", "pgtestdb", "embedded-postgres", "postgrestest"}

// binariesOf returns the folder of a server's programs.
func binariesOf(t *testing.T, url string) (folder string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), "select setting from pg_config where name = 'BINDIR'").Scan(&folder))
	return folder
}

func report(t *testing.T, what string, ours, theirs []run) {
	whole, foreground := func(r run) float64 { return r.whole }, func(r run) float64 { return r.foreground }
	a, b := median(ours, whole), median(theirs, whole)
	c, d := median(ours, foreground), median(theirs, foreground)
	t.Logf("%s: process %.0f ms to %.0f ms, ratio %.2f; a test waits %.1f ms to %.1f ms, ratio %.2f", what, a, b, a/b, c, d, c/d)
}

var foregroundLine = regexp.MustCompile(`foreground (\d+)`)

func suite(t *testing.T, parallel string, startsOwn bool, env []string) run {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuite$", "-test.parallel="+parallel)
	cmd.Env = append(os.Environ(), env...)
	if startsOwn {
		asPostgres(t, cmd)
	}
	began := time.Now()
	out, err := cmd.CombinedOutput()
	whole := time.Since(began)
	require.NoError(t, err, "%s", out)
	m := foregroundLine.FindSubmatch(out)
	require.NotNil(t, m, "%s", out)
	us, err := strconv.ParseFloat(string(m[1]), 64)
	require.NoError(t, err)
	return run{whole: float64(whole.Microseconds()) / 1000, foreground: us / 1000}
}
