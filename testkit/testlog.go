package testkit

import (
	"bytes"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// testLog writes the warnings of a pool as lines of the pool's test. A pool that was opened
// ahead has no test yet, and the goroutines of a pool may log after the end of the test.
type testLog struct {
	mu sync.Mutex
	t  testing.TB // nil: no test has the pool
}

// logger returns a logger of warnings and errors.
func (l *testLog) logger() *zap.Logger {
	encoder := zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())
	return zap.New(zapcore.NewCore(encoder, zapcore.AddSync(l), zap.WarnLevel))
}

// Write writes a line of the test.
func (l *testLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.t != nil {
		l.t.Logf("%s", bytes.TrimSpace(line))
	}
	return len(line), nil
}

// give gives the lines to a test, or to no test.
func (l *testLog) give(t testing.TB) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t = t
}
