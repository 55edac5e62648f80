package tenant

import (
	"context"
	"errors"
	"log"
	"net/http"
	"sync"
	"time"
)

// faultTick is the shortest time between two log lines of a middleware: if the database of a
// resolver is away, every request fails.
const faultTick = time.Second

// faultLog logs a sample of the errors that are no caller's fault.
type faultLog struct {
	mu      sync.Mutex
	last    time.Time // of the last line
	leftOut int       // since the last line
}

// write logs err, unless the last line is younger than faultTick, or the caller has left.
func (l *faultLog) write(r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		return
	}
	l.mu.Lock()
	leftOut, now := l.leftOut, time.Now()
	due := l.last.IsZero() || now.Sub(l.last) >= faultTick
	if due {
		l.last, l.leftOut = now, 0
	} else {
		l.leftOut++
	}
	l.mu.Unlock()
	if !due {
		return
	}
	printf := log.Printf
	if srv, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok && srv.ErrorLog != nil {
		printf = srv.ErrorLog.Printf
	}
	printf("tenant: the resolver failed for %s %q: %q (%d further failures left out before this line)", r.Method, r.URL.Path, err.Error(), leftOut)
}
