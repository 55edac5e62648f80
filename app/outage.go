package main

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// While the database is away every request fails: the log gets outageLines warnings in each
// outageTick.
const (
	outageTick  = 10 * time.Second
	outageLines = 5
)

// outageLog writes a sample of the warnings, and the count of omitted warnings.
type outageLog struct {
	log     *zap.Logger
	leftOut atomic.Int64 // since the last line
}

func newOutageLog(log *zap.Logger) *outageLog {
	o := &outageLog{}
	count := zapcore.SamplerHook(func(_ zapcore.Entry, decision zapcore.SamplingDecision) {
		if decision&zapcore.LogDropped > 0 {
			o.leftOut.Add(1)
		}
	})
	o.log = log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, outageTick, outageLines, 0, count)
	}))
	return o
}

func (o *outageLog) warn(message string, fields ...zap.Field) {
	if line := o.log.Check(zap.WarnLevel, message); line != nil {
		line.Write(append(fields, zap.Int64("left_out", o.leftOut.Swap(0)))...)
	}
}
