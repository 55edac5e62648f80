package main

import (
	"context"
	"fmt"
	"os"

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

func main() {
	work := fx.Invoke(serve, stopWithGoRun)
	switch args := os.Args[1:]; {
	case len(args) == 1 && args[0] == "verify":
		work = verifying
	case len(args) == 1 && args[0] == "demo":
		work = fx.Options(demoing, fx.Invoke(stopWithGoRun))
	case len(args) > 0:
		fmt.Fprintf(os.Stderr, "unknown arguments %q: use none to serve, verify, or demo\n", args)
		os.Exit(2)
	}
	os.Exit(run(fx.New(
		fx.Provide(newLogger),
		fx.WithLogger(func() fxevent.Logger { return fxevent.NopLogger }), // run says what failed
		devdb.Module,
		agency,
		fx.Supply(address(os.Getenv("ADDR"))),
		work,
	)))
}

// agency is the application without what a test replaces: the database server,
// the address and the log.
var agency = fx.Options(
	fxdb.Module,
	agentregistry.Module,
	knowledge.Module,
	webnavigator.Module,
	verification.Module,
	orchestrator.Module,
	fx.Provide(newHandler),
)

// run is fx's own Run with one line for what failed instead of the graph's
// trace. It returns the exit code.
func run(app *fx.App) int {
	failed := func(what string, err error) int {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, dig.RootCause(err))
		return 1
	}
	start, cancel := context.WithTimeout(context.Background(), app.StartTimeout())
	defer cancel()
	if err := app.Start(start); err != nil {
		return failed("start", err)
	}
	signal := <-app.Wait()
	stop, cancel := context.WithTimeout(context.Background(), app.StopTimeout())
	defer cancel()
	if err := app.Stop(stop); err != nil {
		return failed("stop", err)
	}
	return signal.ExitCode
}

func newLogger() *zap.Logger {
	enc := zap.NewDevelopmentEncoderConfig()
	enc.EncodeCaller = nil
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.Lock(os.Stderr), zapcore.InfoLevel))
}
