package testkit_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// rehearsal is a test whose failure is what another test looks for.
type rehearsal struct {
	testing.TB
	mu       sync.Mutex
	said     []string
	failed   bool
	cleanups []func()
}

// rehearse runs a test to its end, and returns what the test logged. A failure fails nothing else.
func rehearse(t *testing.T, test func(testing.TB)) string {
	t.Helper()
	r := &rehearsal{TB: t}
	apart := func(fn func()) { // Fatalf ends the goroutine
		done := make(chan struct{})
		go func() {
			defer close(done)
			fn()
		}()
		<-done
	}
	apart(func() { test(r) })
	for _, cleanup := range slices.Backward(r.cleanups) {
		apart(cleanup)
	}
	return strings.Join(r.said, "\n")
}

func (r *rehearsal) say(failed bool, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said, r.failed = append(r.said, text), r.failed || failed
}

func (r *rehearsal) Cleanup(fn func())               { r.cleanups = append(r.cleanups, fn) }
func (r *rehearsal) Logf(format string, args ...any) { r.say(false, fmt.Sprintf(format, args...)) }
func (r *rehearsal) Error(args ...any)               { r.say(true, fmt.Sprint(args...)) }
func (r *rehearsal) Errorf(format string, args ...any) {
	r.say(true, fmt.Sprintf(format, args...))
}

func (r *rehearsal) FailNow() {
	r.say(true, "failed")
	runtime.Goexit()
}

func (r *rehearsal) Fatalf(format string, args ...any) {
	r.say(true, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

func (r *rehearsal) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
