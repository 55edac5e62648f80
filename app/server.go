package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
)

// address is where the server listens.
type address string

const defaultAddress address = "127.0.0.1:8080"

// serve runs the HTTP server between OnStart and OnStop. It depends on the
// clients, so fx starts it after the pool and stops it before.
func serve(lc fx.Lifecycle, addr address, handler http.Handler, db *fxdb.DB, cfg fxdb.Config, log *zap.Logger, stop fx.Shutdowner) {
	if addr == "" {
		addr = defaultAddress
	}
	srv := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       60 * time.Second,
	}
	done := make(chan struct{})
	lc.Append(fx.Hook{
		OnStart: func(ctx context.Context) error {
			ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", string(addr))
			if err != nil {
				return fmt.Errorf("listen on ADDR %q: %w", addr, err)
			}
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

// describe says which database is used, in one line without a secret.
func describe(db *fxdb.DB) string {
	name := db.Monitor().Database()
	if cfg, err := fxdb.ConfigFromEnv(); err == nil && !cfg.NamesDatabase() {
		return name + " (a throwaway server, gone when this program stops; set DATABASE_URL to use another)"
	}
	return name
}
