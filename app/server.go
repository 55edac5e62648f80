package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
)

const defaultAddress = "127.0.0.1:8080"

// listen takes the address before anything starts or migrates: an address in use costs nothing.
// Callers that connect meanwhile wait for serve.
func listen(addr string) (net.Listener, error) {
	addr = cmp.Or(strings.TrimSpace(addr), defaultAddress)
	ln, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on ADDR %q: %w: stop what listens there, or set ADDR to another address (ADDR=127.0.0.1:0 takes a free port)", addr, err)
	case err != nil:
		return nil, fmt.Errorf("listen on ADDR %q: %w", addr, err)
	}
	return ln, nil
}

// serve runs the HTTP server between OnStart and OnStop. serve depends on the clients, so fx
// starts the HTTP server after the pool, and stops the HTTP server before the pool.
func serve(lc fx.Lifecycle, ln net.Listener, handler http.Handler, db *fxdb.DB, log *zap.Logger, stop fx.Shutdowner) {
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       60 * time.Second,
	}
	done := make(chan struct{})
	lc.Append(fx.Hook{
		OnStart: func(context.Context) error {
			fmt.Fprintf(os.Stdout, "database: %s\n", describe(db))
			fmt.Fprintf(os.Stdout, "listening on http://%s\n", ln.Addr())
			go func() {
				defer close(done)
				if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
					log.Error("serve", zap.Error(err))
					_ = stop.Shutdown(fx.ExitCode(1))
				}
			}()
			return nil
		},
		OnStop: func(ctx context.Context) error {
			// Requests in flight get half of the time, the pool's drain the rest.
			if deadline, ok := ctx.Deadline(); ok {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
				defer cancel()
			}
			err := srv.Shutdown(ctx)
			if err != nil {
				err = errors.Join(fmt.Errorf("requests did not end in time: %w", err), srv.Close())
			}
			<-done
			return err
		},
	})
}

// describe names the database, in a single line without a secret.
func describe(db *fxdb.DB) string {
	name := db.Monitor().Database()
	if cfg, err := fxdb.ConfigFromEnv(); err == nil && !cfg.NamesDatabase() {
		return name + " (a throwaway server, gone when this program stops; set DATABASE_URL to use another)"
	}
	return name
}
