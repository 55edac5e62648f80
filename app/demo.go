package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"go.uber.org/fx"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/fxdb"
)

// watcher is the client of the demo that looks at the server. watcher has a dedicated pool of 1
// connection, and sees the shared pool from outside.
const watcher = "demo-watcher"

// demoRun is in the names of the demo's tenants and connections, and keeps two runs on the same
// server apart.
var demoRun = strings.ToLower(rand.Text()[:6])

// demoing plays a small agency and ends, in place of serving.
var demoing = fx.Options(
	fx.Decorate(func(cfg fxdb.Config) fxdb.Config {
		cfg.ApplicationName = "demo-" + demoRun
		cfg.Dedicated = append(cfg.Dedicated, watcher+"=1")
		return cfg
	}),
	fx.Decorate(func(log *zap.Logger) *zap.Logger {
		return log.WithOptions(zap.IncreaseLevel(zap.ErrorLevel)) // the demo itself prints every fault
	}),
	fx.Invoke(demo),
)

// demo plays between OnStart and OnStop. The exit code is 1 if the play fails or a figure is
// wrong.
func demo(lc fx.Lifecycle, db *fxdb.DB, cfg fxdb.Config, c clients, stop fx.Shutdowner) {
	ctx, cancel := context.WithCancel(context.Background())
	done, interrupted := make(chan struct{}), false
	watch := db.Named(watcher)
	lc.Append(fx.Hook{
		OnStart: func(context.Context) error {
			go func() {
				defer close(done)
				err := show(ctx, os.Stdout, db, watch, c, cfg.PoolMax)
				if interrupted = ctx.Err() != nil; interrupted {
					return
				}
				code := 0
				if err != nil {
					fmt.Fprintf(os.Stderr, "demo: %v\n", err)
					code = 1
				}
				_ = stop.Shutdown(fx.ExitCode(code))
			}()
			return nil
		},
		OnStop: func(context.Context) error {
			cancel()
			<-done
			if interrupted {
				return errors.New("the demo was interrupted")
			}
			return nil
		},
	})
}

// show plays, watches the server meanwhile, and prints the database's figures at the end.
func show(ctx context.Context, out io.Writer, db, watch *fxdb.DB, c clients, poolMax int) error {
	began := time.Now()
	fmt.Fprintf(out, "database: %s\n", describe(db))
	actors, err := newActors(demoRun)
	if err != nil {
		return err
	}
	w := startWatch(ctx, watch)
	err = play(ctx, out, c, actors)
	seen, watchErr := w.end()
	if err := errors.Join(err, watchErr); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nread back from the database, as each tenant and as nobody, after %.1f s:\n\n", time.Since(began).Seconds())
	wrong, err := report(ctx, out, db, c, actors)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nconnections on the server at once: at most %d of the pool's, which may have %d, and %d in all, of max_connections %d\n"+
		"(pg_stat_activity, looked at %d times over a connection that is not the pool's, and not counted)\n",
		seen.pool, poolMax, seen.all, seen.limit, seen.looks)
	if seen.ever > 0 {
		fmt.Fprintf(out, "connections that the server ever saw in this database: %d, of them %d while the agency worked; the pool opened %d\n"+
			"(pg_stat_database: probes, migrations and the one that looks are among them)\n", seen.ever, seen.during, db.Stats().Opened)
	}
	if seen.pool > poolMax || seen.pool == 0 {
		wrong++
	}
	if wrong > 0 {
		return fmt.Errorf("%d figures are wrong", wrong)
	}
	fmt.Fprintf(out, "all figures are right\n")
	return nil
}
