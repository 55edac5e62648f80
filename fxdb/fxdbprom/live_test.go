package fxdbprom_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/internal/testing/pgfault"
)

// inSeconds makes the windows and the delays of the rules seconds of a test.
var inSeconds = strings.NewReplacer("[5m]", "[2s]", "[15m]", "[2s]", "for: 1m", "for: 600ms", "for: 5m", "for: 600ms")

// startPrometheus runs a Prometheus on the metrics of url until the test ends, and returns the
// address of the Prometheus API.
func startPrometheus(t *testing.T, url string) (api string) {
	t.Helper()
	dir := t.TempDir()
	rules, err := os.ReadFile("rules.yml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "rules.yml"), []byte(inSeconds.Replace(string(rules))), 0o600))
	config := fmt.Sprintf(`{global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}, rule_files: [rules.yml],
		scrape_configs: [{job_name: shop, scrape_interval: 300ms, scrape_timeout: 300ms, static_configs: [{targets: [%q]}]}]}`, strings.TrimPrefix(url, "http://"))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yml"), []byte(config), 0o600))

	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program(t, "prometheus"), "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address=127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	address := make(chan string, 1)
	var read sync.WaitGroup
	read.Go(func() {
		listening := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if found := listening.FindStringSubmatch(lines.Text()); found != nil {
				address <- found[1]
			}
		}
	})
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		cancel()
		read.Wait()
		_ = cmd.Wait() // the cleanup killed Prometheus
	})
	select {
	case at := <-address:
		api = "http://" + at + "/api/v1/"
	case <-time.After(patience):
		t.Fatal("Prometheus does not listen")
	}
	require.Eventually(t, func() bool {
		var scraped struct{ Data struct{ Result []any } }
		return ask(t, api+"query?query=onepool_connections_max", &scraped) && len(scraped.Data.Result) == 1
	}, patience, 50*time.Millisecond)
	return api
}

// ask reads an answer of Prometheus' API. ask returns false while Prometheus starts.
func ask(t *testing.T, url string, answer any) bool {
	t.Helper()
	request, err := http.NewRequestWithContext(inTime(t), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	if response.StatusCode == http.StatusServiceUnavailable {
		return false
	}
	require.NoError(t, json.NewDecoder(response.Body).Decode(answer))
	return true
}

// firing returns the names of the firing alerts.
func firing(t *testing.T, api string) []string {
	t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				State  string
				Labels map[string]string
			}
		}
	}
	require.True(t, ask(t, api+"alerts", &answer))
	names := make(map[string]bool)
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			names[a.Labels["alertname"]] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// TestPrometheusFiresEachRuleWhereItShouldAndNowhereElse has a real Prometheus scrape a
// program whose pool is filled, loses a connection, nests, fights over rows, and whose server
// goes away.
func TestPrometheusFiresEachRuleWhereItShouldAndNowhereElse(t *testing.T) {
	t.Parallel()
	server := pgfault.Start(t)
	db, err := fxdb.Open(inTime(t), fxdb.Config{
		URL: server.AppURL(), PoolMin: 1, PoolMax: 4, ApplicationName: "shop", NestedAcquire: "strict",
		ConnectionTimeout: patience, LeakThreshold: 6 * time.Second,
	})
	require.NoError(t, err)
	defer db.Close(context.Background())
	reg := prometheus.NewRegistry()
	register(t, reg, db)
	target := httptest.NewServer(promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	defer target.Close()
	api := startPrometheus(t, target.URL)
	orders := db.Named("orders")

	for _, c := range []struct {
		name  string
		fires []string
		// during goes on until ctx ends.
		during func(ctx context.Context)
	}{
		{"usual work", nil, func(ctx context.Context) {
			for n := 0; ctx.Err() == nil; n++ {
				_, _ = orders.Exec(ctx, "select pg_sleep(0.01)")
			}
		}},
		{"a pool that is full", []string{"OnepoolSaturated", "OnepoolSlowAcquires"}, func(ctx context.Context) {
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					for ctx.Err() == nil {
						_, _ = orders.Exec(ctx, "select pg_sleep(0.7)")
					}
				})
			}
			all.Wait()
		}},
		{"a connection that is never released", []string{"OnepoolLeak"}, func(ctx context.Context) {
			conn, err := orders.Acquire(ctx)
			if err == nil {
				<-ctx.Done()
				conn.Release()
			}
		}},
		{"nested acquires", []string{"OnepoolNestedAcquire"}, func(ctx context.Context) {
			for ctx.Err() == nil {
				_ = orders.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
					_, err := tx.Exec(ctx, "select pg_sleep(0.1)")
					_ = orders.Ping(ctx)
					return err
				})
			}
		}},
		{"transactions that fight", []string{"OnepoolRetryStorm"}, func(ctx context.Context) {
			for ctx.Err() == nil {
				attempts := 0
				_ = orders.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
					if attempts++; attempts%2 == 0 {
						return nil
					}
					_, err := tx.Exec(ctx, "do $$ begin raise sqlstate '40001'; end $$")
					return err
				})
			}
		}},
		{"a server that is away", []string{"OnepoolUnreachable"}, func(ctx context.Context) {
			server.Kill(t)
			for ctx.Err() == nil {
				_, _ = orders.Exec(ctx, "select 1")
			}
		}},
	} {
		began := time.Now()
		require.Eventually(t, func() bool { return len(firing(t, api)) == 0 }, patience, 50*time.Millisecond, "before %s", c.name)
		ctx, cancel := context.WithCancel(inTime(t))
		var work sync.WaitGroup
		work.Go(func() { c.during(ctx) })
		for fired := []string{}; len(c.fires) == 0 || len(fired) < len(c.fires); {
			fired = firing(t, api)
			for _, name := range fired {
				require.Contains(t, c.fires, name, "in %s", c.name)
			}
			require.NoError(t, ctx.Err(), "%s: %v fire", c.name, fired)
			if len(c.fires) == 0 && time.Since(began) > 3*time.Second {
				break
			}
			<-time.After(50 * time.Millisecond) // between two looks
		}
		cancel()
		work.Wait()
		t.Logf("%s: %v after %s", c.name, c.fires, time.Since(began).Round(100*time.Millisecond))
	}
}
