package main

import (
	"context"
	"os"
	"strings"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"
)

// goRunPoll is how often the parent is looked at.
const goRunPoll = 500 * time.Millisecond

// stopWithGoRun stops the application when the parent "go run" has ended. SIGTERM ends "go run"
// without a signal to the child, and the child would keep the port and the throwaway server.
func stopWithGoRun(lc fx.Lifecycle, log *zap.Logger, stop fx.Shutdowner) {
	if exe, err := os.Executable(); err != nil || !strings.Contains(exe, "go-build") {
		return
	}
	parent := os.Getppid()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	lc.Append(fx.Hook{
		OnStart: func(context.Context) error {
			go func() {
				defer close(done)
				tick := time.NewTicker(goRunPoll)
				defer tick.Stop()
				for {
					select {
					case <-ctx.Done():
						return
					case <-tick.C:
						if os.Getppid() != parent {
							log.Info("go run is gone, stopping")
							_ = stop.Shutdown()
							return
						}
					}
				}
			}()
			return nil
		},
		OnStop: func(context.Context) error {
			cancel()
			<-done
			return nil
		},
	})
}
