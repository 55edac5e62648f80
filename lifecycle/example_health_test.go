package lifecycle_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/lifecycle"
)

// startedMonitor starts a pool on a throwaway server.
func startedMonitor(ctx context.Context) (m *lifecycle.Monitor, stop func()) {
	server, err := devdb.Start(ctx)
	if err != nil {
		log.Panic(err)
	}
	cfg, err := pgxpool.ParseConfig(server.URL())
	if err != nil {
		log.Panic(err)
	}
	if m, err = lifecycle.New(lifecycle.Config{Pool: cfg}); err != nil {
		log.Panic(err)
	}
	if err := m.Start(ctx); err != nil {
		log.Panic(err)
	}
	return m, func() {
		_, _ = lifecycle.Drain(ctx, m, time.Second)
		_ = server.Stop(ctx)
	}
}

// Ready turns to 503 at the first moment of a stop. Live stays at 200.
func ExampleMonitor_Ready() {
	ctx := context.Background()
	m, stop := startedMonitor(ctx)
	defer stop()
	ask := func() (ready, live int) {
		r, l := httptest.NewRecorder(), httptest.NewRecorder()
		m.Ready().ServeHTTP(r, httptest.NewRequest(http.MethodGet, "/readyz", nil))
		m.Live().ServeHTTP(l, httptest.NewRequest(http.MethodGet, "/livez", nil))
		return r.Code, l.Code
	}
	fmt.Println(ask())
	_, _ = lifecycle.Drain(ctx, m, time.Second)
	fmt.Println(ask())
	// Output:
	// 200 200
	// 503 200
}

// A drain names each holder that did not end in time.
func ExampleDrain() {
	ctx := context.Background()
	m, stop := startedMonitor(ctx)
	defer stop()
	conn, err := m.Acquire(ctx, lifecycle.Request{Client: "reports"})
	if err != nil {
		log.Panic(err)
	}
	report, err := lifecycle.Drain(ctx, m, 10*time.Millisecond)
	fmt.Println(len(report.Cut), "cut off:", report.Cut[0].Client, err != nil)
	conn.Release() // safe, as before
	// Output: 1 cut off: reports true
}
