package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
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

func TestFlags(t *testing.T) {
	t.Parallel()
	s, err := parse(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []load{{64, 0}, {128, 0}, {256, 0}, {64, 1000}}, s.loads)
	require.Equal(t, []int{20}, s.sizes)
	require.Empty(t, s.svg, "there is no such folder where the test runs")

	s, err = parse([]string{"-sizes", "4, 8", "-goroutines", "16+5,32"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []int{4, 8}, s.sizes)
	require.Equal(t, []load{{16, 5}}, s.loads)

	for _, bad := range []string{
		"-goroutines 0", "-goroutines 5+", "-goroutines x", "-goroutines 64,-1", "-goroutines 5+-1", "-sizes 4,x", "-sizes 500",
		"-sizes 0", "-rounds 0", "-window 0s", "-rtt -1s", "argument", "-unknown",
	} {
		_, err := parse(strings.Fields(bad), io.Discard)
		require.Error(t, err, bad)
	}
}

func TestTheTablePairsTheRounds(t *testing.T) {
	t.Parallel()
	round := func(operations float64) (r [measurements]result) {
		for m := range r {
			for i := range r[m] {
				r[m][i] = math.NaN()
			}
		}
		r[warm][throughput] = operations
		return r
	}
	r := report{all: []comparison{{
		label: "64",
		olds:  [][measurements]result{round(100), round(50), round(101)},
		ourss: [][measurements]result{round(200), round(100), round(202)},
	}}}
	require.Equal(t, [][]string{{"ours / old (old → ours)", "64"}, {"throughput, op/s", "2.00 (100 → 200)"}}, r.table(warm))
	require.Len(t, r.table(fresh), 1, "figures that nobody knows have no row")
	require.Len(t, r.chart().Panels, 1)
}

func TestTheClientsShareTheStatementsOrSplitThem(t *testing.T) {
	t.Parallel()
	count := func(own bool) (all int, distinct map[string]bool) {
		distinct = make(map[string]bool)
		for i := range clients {
			c := newClient(nil, i, own)
			for _, list := range [][]string{c.reads, c.ranges, c.writes} {
				all += len(list)
				for _, text := range list {
					distinct[text] = true
				}
			}
		}
		return all, distinct
	}
	all, distinct := count(true)
	require.Len(t, distinct, 3*texts)
	require.Equal(t, 3*texts, all)
	all, distinct = count(false)
	require.Len(t, distinct, 3*texts)
	require.Equal(t, 3*texts*clients, all)
}

// A short run of everything: loads, a burst, sizes, a network.
func TestBothWorldsDoTheWork(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	for name, args := range map[string]string{
		"loads": "-goroutines 16,8+30",
		"sizes": "-goroutines 16 -sizes 2,4 -plain -own -rtt 1ms",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "loads" {
				size.SkipUnlessSoak(t, "sizes")
			}
			svg := filepath.Join(t.TempDir(), "result.svg")
			var out bytes.Buffer
			args := append(strings.Fields(args), "-rounds", "1", "-window", "200ms", "-svg", svg)
			require.NoError(t, run(t.Context(), args, &out, io.Discard))
			require.Regexp(t, `throughput, op/s +\| +\d`, out.String())
			f, err := os.Open(svg)
			require.NoError(t, err)
			defer f.Close()
			for d := xml.NewDecoder(f); ; {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else {
					require.NoError(t, err)
				}
			}
			t.Log(out.String())
		})
	}
}

// start returns a server with the tables, and the settings of both worlds.
func start(t *testing.T, more string) (*measure.Server, work) {
	t.Helper()
	server, err := measure.StartServer(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.Background())) })
	require.NoError(t, server.Setup(t.Context(), schemaSQL()+more))
	return server, work{url: server.URL()}
}

func TestOnePoolHoldsFewerConnections(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestBothWorldsDoTheWork")
	server, w := start(t, "")
	l := load{steady: 40}
	many, err := measureOnce(t.Context(), server, w.plainPools(clients, connsEach), l, 200*time.Millisecond)
	require.NoError(t, err)
	one, err := measureOnce(t.Context(), server, w.onePool(5), l, 200*time.Millisecond)
	require.NoError(t, err)
	for m := range headings {
		require.Greater(t, many[m][connections], 14.0, "every client has one")
		require.LessOrEqual(t, one[m][connections], 5+1.0, "the pool and the probe of a server that is slow to answer")
		require.Positive(t, one[m][throughput])
		require.LessOrEqual(t, one[m][p50], one[m][p99])
	}
}

// During the warm measurement no connection prepares a statement.
func TestWarmMeansEveryStatementOnEveryConnection(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestBothWorldsDoTheWork")
	_, w := start(t, "")
	for _, own := range []bool{false, true} {
		w.own = own
		for _, world := range []world{w.plainPools(clients, 2), w.onePool(3)} {
			r, err := world.open(t.Context())
			require.NoError(t, err)
			require.NoError(t, r.warm(t.Context()))
			for p, pool := range r.pools {
				var most int
				for i := p; i < clients; i += len(r.pools) {
					most += 3 * len(r.clients[i].reads)
				}
				conns := pool.AcquireAllIdle(t.Context())
				require.NotEmpty(t, conns)
				for _, conn := range conns {
					var n int
					require.NoError(t, conn.QueryRow(t.Context(), "select count(*) from pg_prepared_statements where generic_plans + custom_plans > 5").Scan(&n))
					require.Equal(t, min(most, 3*texts), n, "%s, own %v", world.name, own)
					conn.Release()
				}
			}
			require.NoError(t, r.close(t.Context()))
		}
	}
}

func TestARowThatIsMissingFailsTheRun(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	server, w := start(t, "delete from items_03;")
	_, err := measureOnce(t.Context(), server, w.onePool(4), load{steady: 30}, time.Second)
	require.ErrorContains(t, err, "one pool of 4, 30 goroutines:")
	require.NoError(t, server.WaitForNoBackends(t.Context()), "a run that fails leaves nothing open")
}

func TestTheNetworkHoldsEveryRoundTrip(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestBothWorldsDoTheWork")
	const rtt = 20 * time.Millisecond
	_, w := start(t, "")
	cfg, err := pgx.ParseConfig(w.url)
	require.NoError(t, err)
	cfg.Tracer = network(rtt)
	took := func(trips int, do func() error) {
		t.Helper()
		began := time.Now()
		require.NoError(t, do())
		require.GreaterOrEqual(t, time.Since(began), time.Duration(trips)*rtt)
	}
	var conn *pgx.Conn
	took(2, func() (err error) { conn, err = pgx.ConnectConfig(t.Context(), cfg); return err })
	defer conn.Close(t.Context())
	ask := func() error { _, err := conn.Exec(t.Context(), "select $1::int", 1); return err }
	took(2, ask) // prepare and query
	took(1, ask)
}
