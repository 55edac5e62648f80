package fxdb

import (
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// stderrLog returns the logger of an fx application without a *zap.Logger: a warning of the pool
// must not be lost. stderrLog writes warnings and errors as JSON lines.
func stderrLog() *zap.Logger {
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.ISO8601TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(encoder), zapcore.Lock(os.Stderr), zapcore.WarnLevel)).Named("fxdb")
}
