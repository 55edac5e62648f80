package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/modules/agentregistry"
	"github.com/agentagency/onepool/modules/knowledge"
	"github.com/agentagency/onepool/modules/orchestrator"
	"github.com/agentagency/onepool/modules/verification"
	"github.com/agentagency/onepool/modules/webnavigator"
)

const usage = `usage: go run ./app            serve the agency's API
       go run ./app verify     print whether the database keeps tenants apart
       go run ./app demo       play a small agency, and print what the database says of it
       go run ./app help       print this

Settings are variables of the environment:
  ADDR             address to serve on, 127.0.0.1:8080 without it
  OPERATOR_TOKEN   who sends it (Authorization: Bearer) sees tenants' names in /stats;
                   without it, who asks on this machine does
  DATABASE_URL     the database, with DB_HOST, DB_NAME and the other DB_* settings of
                   package fxdb; a throwaway server if no setting names one
  DB_MIGRATE       true migrates that database
`

func main() { os.Exit(perform(os.Args[1:])) }

// perform is main without the process's end.
func perform(args []string) int {
	var work fx.Option
	switch {
	case slices.ContainsFunc(args, isHelp):
		_, _ = fmt.Fprint(os.Stdout, usage)
		return 0
	case len(args) == 0:
		ln, err := listen(os.Getenv("ADDR"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer func() { _ = ln.Close() }() // for a failed start
		token := operatorToken(strings.TrimSpace(os.Getenv("OPERATOR_TOKEN")))
		work = fx.Options(fx.Supply(fx.Annotate(ln, fx.As(new(net.Listener))), token), fx.Invoke(serve, stopWithGoRun))
	case len(args) == 1 && args[0] == "verify":
		work = verifying
	case len(args) == 1 && args[0] == "demo":
		work = fx.Options(demoing, fx.Invoke(stopWithGoRun))
	default:
		fmt.Fprintf(os.Stderr, "unknown arguments %q\n%s", args, usage)
		return 2
	}
	return run(fx.New(
		fx.Provide(newLogger),
		fx.WithLogger(func() fxevent.Logger { return fxevent.NopLogger }), // run prints the failure
		devdb.Module,
		agency,
		work,
	))
}

func isHelp(arg string) bool { return slices.Contains([]string{"-h", "-help", "--help", "help"}, arg) }

// agency is the application without the parts that a test replaces: the database server, the
// address and the log.
var agency = fx.Options(
	fx.StartTimeout(time.Minute), // the migrations of five clients, on a busy machine
	fxdb.Module,
	agentregistry.Module,
	knowledge.Module,
	webnavigator.Module,
	verification.Module,
	orchestrator.Module,
	fx.Provide(newHandler, fx.Annotate(newRequestTracer, fx.ResultTags(`group:"onepool.tracers"`))),
)

// run is fx's own Run, and prints a failure in a single line instead of the graph's trace. run
// returns the exit code. SIGHUP, the end of a terminal, stops the application as SIGTERM does,
// unless the process was started with SIGHUP ignored.
func run(app *fx.App) int {
	failed := func(what string, err error) int {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, dig.RootCause(err))
		return 1
	}
	hangup := make(chan os.Signal, 1)
	if !signal.Ignored(syscall.SIGHUP) {
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
	}
	// fx catches signals from its first Wait on. Without this early Wait, a signal during the
	// start, or right after the start, ends the process before OnStop has run.
	stopped := app.Wait()
	start, cancel := context.WithTimeout(context.Background(), app.StartTimeout())
	defer cancel()
	if err := app.Start(start); err != nil {
		return failed("start", err)
	}
	code := 0
	select {
	case shutdown := <-stopped:
		code = shutdown.ExitCode
	case <-hangup:
	}
	stop, cancel := context.WithTimeout(context.Background(), app.StopTimeout())
	defer cancel()
	if err := app.Stop(stop); err != nil {
		return failed("stop", err)
	}
	return code
}

func newLogger() *zap.Logger {
	enc := zap.NewDevelopmentEncoderConfig()
	enc.EncodeCaller = nil
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.Lock(os.Stderr), zapcore.InfoLevel))
}
