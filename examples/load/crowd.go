package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// tenants is the number of tenants. The clients are spread evenly over the tenants.
const tenants = 50

// request is the record of one HTTP request, answered or not.
type request struct {
	began, ended time.Time
	failure      string // empty: the answer had the expected status
}

// crowd is a group of HTTP clients. Each client sends the next request right after an answer.
type crowd struct {
	url   string
	size  int
	http  *http.Client
	limit int64 // maximum number of requests

	asked atomic.Int64
	half  chan struct{} // closed at half of the limit
}

func newCrowd(url string, size int, limit int64) *crowd {
	transport := &http.Transport{MaxIdleConnsPerHost: size, MaxIdleConns: size}
	// A request may wait for a connection of the pool for 10 s.
	const patience = 30 * time.Second
	return &crowd{url: url, size: size, limit: limit, half: make(chan struct{}), http: &http.Client{Transport: transport, Timeout: patience}}
}

// run sends requests until ctx ends or the crowd reaches the limit. run then waits for the
// answers to the requests in flight.
func (c *crowd) run(ctx context.Context) []request {
	defer c.http.CloseIdleConnections()
	all := make([][]request, c.size)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = c.live(ctx, i) })
	}
	wg.Wait()
	var list []request
	for _, own := range all {
		list = append(list, own...)
	}
	return list
}

// step is one request of an agent's life, and the status of the expected answer.
type step struct {
	method, path, body string
	want               int
}

// lifeOf returns the requests of one client for one agent: 7 reads and 3 writes.
func lifeOf(id string) []step {
	agent := fmt.Sprintf(`{"id": %q, "name": %q, "model_family": "claude-3.5", "capabilities": {"task_types": ["research"], "languages": ["Go"]}}`, id, id)
	get := step{http.MethodGet, "/agents/" + id, "", http.StatusOK}
	return []step{
		{http.MethodPost, "/agents", agent, http.StatusCreated},
		get, get, get,
		{http.MethodPost, "/agents/" + id + "/performance", `{"success": true, "quality_score": 0.9, "latency_ms": 1200}`, http.StatusOK},
		{http.MethodGet, "/agents?task_type=research&language=Go&limit=20", "", http.StatusOK},
		get, get,
		{http.MethodGet, "/agents/stats", "", http.StatusOK},
		{http.MethodDelete, "/agents/" + id, "", http.StatusNoContent},
	}
}

// live runs one client. After a failure the client continues with a new agent: the client can't
// know if the server committed a failed write.
func (c *crowd) live(ctx context.Context, number int) (done []request) {
	tenant := fmt.Sprintf("tenant-%d", number%tenants)
	for life := 0; ; life++ {
		for _, s := range lifeOf(fmt.Sprintf("crowd-%d-%d-%d", c.size, number, life)) {
			n := c.asked.Add(1)
			if n == c.limit/2 {
				close(c.half)
			}
			if ctx.Err() != nil || n > c.limit {
				return done
			}
			r := request{began: time.Now()}
			// The request outlives ctx: the end of ctx is no failure of the application.
			r.failure = c.ask(context.WithoutCancel(ctx), tenant, s)
			r.ended = time.Now()
			if done = append(done, r); r.failure != "" {
				break
			}
		}
	}
}

// ask sends the request of s. A failure is a wrong status or a missing answer; "" is success.
func (c *crowd) ask(ctx context.Context, tenant string, s step) (failure string) {
	r, err := http.NewRequestWithContext(ctx, s.method, c.url+s.path, strings.NewReader(s.body))
	if err != nil {
		return err.Error()
	}
	r.Header.Set("X-Tenant-ID", tenant)
	r.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(r)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close() //nolint:errcheck // the body is only read
	}
	switch {
	case err != nil:
		return "no answer"
	case resp.StatusCode != s.want:
		return fmt.Sprintf("%s %d", s.method, resp.StatusCode)
	}
	return ""
}
