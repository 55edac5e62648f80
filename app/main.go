package main

import (
	"os"

	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/modules/agentregistry"
)

func main() {
	fx.New(
		fx.Provide(newLogger),
		fx.WithLogger(func(log *zap.Logger) fxevent.Logger {
			l := &fxevent.ZapLogger{Logger: log}
			l.UseLogLevel(zapcore.DebugLevel) // what fx does is of interest when it fails
			return l
		}),
		devdb.Module,
		agency,
		fx.Supply(address(os.Getenv("ADDR"))),
		fx.Invoke(serve, stopWithGoRun),
	).Run()
}

// agency is the application without what a test replaces: the database server,
// the address and the log.
var agency = fx.Options(
	fxdb.Module,
	agentregistry.Module,
	fx.Provide(newHandler),
)

func newLogger() *zap.Logger {
	enc := zap.NewDevelopmentEncoderConfig()
	enc.EncodeCaller = nil
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(enc), zapcore.Lock(os.Stderr), zapcore.InfoLevel))
}
