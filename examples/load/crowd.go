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

// tenants is how many there are; the clients are shared out among them.
const tenants = 50

// request is one that was answered, or was not.
type request struct {
	began, ended time.Time
	failure      string // empty: the status that was expected
}

// crowd is a number of HTTP clients that ask again as soon as they have an answer.
type crowd struct {
	url   string
	size  int
	http  *http.Client
	limit int64 // requests at most

	asked atomic.Int64
	half  chan struct{} // closed when half of the requests were asked
}

func newCrowd(url string, size int, limit int64) *crowd {
	transport := &http.Transport{MaxIdleConnsPerHost: size, MaxIdleConns: size}
	// A request may wait for a connection of the pool for 10 s.
	const patience = 30 * time.Second
	return &crowd{url: url, size: size, limit: limit, half: make(chan struct{}), http: &http.Client{Transport: transport, Timeout: patience}}
}

// run asks until ctx ends or the limit is reached. The requests in flight then get
// their answers.
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

// step is a request of an agent's life, and the answer that it must have.
type step struct {
	method, path, body string
	want               int
}

// lifeOf is what one client does with one agent: 10 requests, 3 of which write.
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

// live runs one client. After a failure it goes on with another agent: whether a
// write that failed took place nobody can know.
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
			// Not with ctx: its end is no failure of the application's.
			r.failure = c.ask(context.WithoutCancel(ctx), tenant, s)
			r.ended = time.Now()
			if done = append(done, r); r.failure != "" {
				break
			}
		}
	}
}

// ask returns what is wrong with the answer: its status, or that there was none.
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
		resp.Body.Close() //nolint:errcheck // only read from
	}
	switch {
	case err != nil:
		return "no answer"
	case resp.StatusCode != s.want:
		return fmt.Sprintf("%s %d", s.method, resp.StatusCode)
	}
	return ""
}
