package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/agentagency/onepool/fxdb"
)

// leaving is whether the server has begun to stop. A load balancer that asks /readyz learns
// so while its requests are still served.
type leaving struct{ begun atomic.Bool }

func newLeaving() *leaving { return &leaving{} }

// stopDelay is how long the server goes on serving then.
type stopDelay time.Duration

func stopDelayOf(setting string) (stopDelay, error) {
	if setting = strings.TrimSpace(setting); setting == "" {
		return 0, nil
	}
	ms, err := strconv.ParseInt(setting, 10, 32)
	if err != nil || ms < 0 {
		return 0, fmt.Errorf("STOP_DELAY_MS %q: must be a whole number of milliseconds from 0", setting)
	}
	return stopDelay(time.Duration(ms) * time.Millisecond), nil
}

// begin turns readiness off, and returns after the delay: at most a third of the stop's
// time, since the requests in flight and the pool's drain need the rest.
func (l *leaving) begin(ctx context.Context, delay time.Duration) {
	l.begun.Store(true)
	if deadline, ok := ctx.Deadline(); ok {
		delay = min(delay, time.Until(deadline)/3)
	}
	if delay <= 0 {
		return
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// ready is the pool's readiness until the server begins to stop.
func (h *handler) ready(db *fxdb.DB) http.Handler {
	pool := db.Monitor().Ready()
	stopping := h.answer(func(w http.ResponseWriter, r *http.Request) error {
		health := db.Monitor().Health(r.Context())
		health.Ready, health.Error = false, "the server is stopping"
		return respond(w, http.StatusServiceUnavailable, health)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.leaving.begun.Load() {
			stopping.ServeHTTP(w, r)
		} else {
			pool.ServeHTTP(w, r)
		}
	})
}
