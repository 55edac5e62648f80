package main

import (
	"bytes"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/internal/testing/size"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFlags(t *testing.T) {
	t.Parallel()
	s, err := parse(nil, io.Discard)
	require.NoError(t, err)
	require.Equal(t, settings{duration: time.Minute, clients: []int{100, 1000}, requests: 1_000_000, pool: 20}, s)
	s, err = parse([]string{"-clients", "3, 4", "-duration", "2s", "-requests", "10", "-pool", "5"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, settings{duration: 2 * time.Second, clients: []int{3, 4}, requests: 10, pool: 5}, s)
	for _, bad := range []string{"-clients 0", "-clients x", "-clients 1,,2", "-duration 0s", "-requests 1", "-pool 0", "-pool 200", "argument", "-unknown"} {
		_, err := parse(strings.Fields(bad), io.Discard)
		require.Error(t, err, bad)
	}
}

// second returns the moment of an invented run.
func second(s float64) time.Time {
	return time.Unix(1000, 0).Add(time.Duration(s * float64(time.Second)))
}

func TestFailuresCountOutsideTheOutage(t *testing.T) {
	t.Parallel()
	p := phase{clients: 2, took: 60 * time.Second, outage: outage{second(30), second(31)}}
	p.judge([]request{
		{second(1), second(2), ""},
		{second(1), second(5), ""},
		{second(29), second(29.9), "GET 503"},     // before
		{second(29), second(30.1), "GET 503"},     // in flight at the stop
		{second(32.9), second(33), "POST 503"},    // within the grace
		{second(33.1), second(33.2), "no answer"}, // after
		{second(30), second(31), ""},              // answered, but no latency of a working server
	}, nil, second(0))
	require.Equal(t, 3, p.answered)
	require.Equal(t, []time.Duration{time.Second, 4 * time.Second}, p.latencies)
	require.Equal(t, map[string]int{"GET 503": 1, "POST 503": 1}, p.excused)
	require.Equal(t, map[string]int{"GET 503": 1, "no answer": 1}, p.failed)
	require.Equal(t, []string{"2 clients: requests failed while the server was there: GET 503: 1, no answer: 1"}, p.problems(20))
	require.Equal(t, "none", tally(nil))
}

func TestGrowthAndConnectionsAreProblems(t *testing.T) {
	t.Parallel()
	judged := func(change func(i int, s *sample)) []string {
		var samples []sample
		for i := range 60 {
			s := sample{second(float64(i)), 20, 100}
			change(i, &s)
			samples = append(samples, s)
		}
		p := phase{clients: 2, took: 60 * time.Second}
		p.judge([]request{{second(1), second(2), ""}}, samples, second(0))
		return p.problems(20)
	}
	require.Empty(t, judged(func(int, *sample) {}))
	require.Empty(t, judged(func(i int, s *sample) { s.memory += float64(i) }), "a half more is allowed")
	require.Empty(t, judged(func(_ int, s *sample) { s.connections = 21 }), "the probe of the server's health")
	require.Empty(t, judged(func(_ int, s *sample) { s.connections, s.memory = math.NaN(), math.NaN() }), "when the system reports nothing")
	for want, change := range map[string]func(i int, s *sample){
		"memory grew": func(i int, s *sample) { s.memory += float64(3 * i) },
		"22 connections, more than the pool's 20": func(i int, s *sample) { s.connections = float64(20 + i/30*2) },
	} {
		problems := judged(change)
		require.Len(t, problems, 1, want)
		require.Contains(t, problems[0], want)
	}
	require.Equal(t, []string{"2 clients: no request was answered"}, phase{clients: 2}.problems(20))
}

// The crowd records the failures of a server that fails now and then or does not answer.
func TestTheCrowdReportsWhatFails(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch i := n.Add(1); {
		case r.Header.Get("X-Tenant-ID") == "":
			w.WriteHeader(http.StatusBadRequest)
		case i%10 == 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Method == http.MethodPost && r.URL.Path == "/agents":
			w.WriteHeader(http.StatusCreated)
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer s.Close()
	c := newCrowd(s.URL, 3, 200)
	requests := c.run(t.Context())
	require.Len(t, requests, 200, "the limit holds")
	<-c.half
	failed := 0
	for _, r := range requests {
		if r.failure != "" {
			require.Regexp(t, `^(GET|POST|DELETE) 503$`, r.failure)
			failed++
		}
	}
	require.Equal(t, 20, failed)

	s.Close()
	for _, r := range newCrowd(s.URL, 1, 2).run(t.Context()) {
		require.Equal(t, "no answer", r.failure)
	}
}

func TestARestartKeepsWhatWasCommittedAndBreaksConnections(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "TestTheAgencyServerHoldsUnderLoad")
	ctx := t.Context()
	s, err := startServer(ctx)
	require.NoError(t, err)
	conn, err := pgx.Connect(ctx, s.url(devdb.RoleOwner, database))
	require.NoError(t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "create table kept (n int); insert into kept values (1)")
	require.NoError(t, err)

	require.NoError(t, s.restart(ctx))
	_, err = conn.Exec(ctx, "select 1")
	require.Error(t, err)
	again, err := pgx.Connect(ctx, s.url(devdb.RoleOwner, database))
	require.NoError(t, err)
	defer again.Close(ctx)
	var n int
	require.NoError(t, again.QueryRow(ctx, "select n from kept").Scan(&n))
	require.Equal(t, 1, n)

	require.NoError(t, s.stop(ctx))
	require.NoDirExists(t, s.dir)
}

// A short run of everything.
func TestTheAgencyServerHoldsUnderLoad(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-duration", size.Of("1s", "1s", "2s"), "-clients", "5,20", "-pool", "4"}, &out, io.Discard))
	require.Regexp(t, `requests answered +\| +\d+ \| +\d+ \|`, out.String())
	require.Contains(t, out.String(), "left 0 connections")
	t.Log(out.String())
}

func TestAnApplicationThatDoesNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	size.SkipUnlessSoak(t, "app's TestDatabaseURLIsUsedAndABadOneFailsTheStart")
	_, err := startApplication(t.Context(), t.TempDir(), &server{dir: t.TempDir()}, -1)
	require.ErrorContains(t, err, "did not start")
	require.ErrorContains(t, err, "DB_POOL_MAX", "the end of its log")
}
