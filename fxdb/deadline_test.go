package fxdb_test

import (
	"context"
	"testing"
	"time"
)

// patience bounds every wait of a test. Only a hang lasts as long.
const patience = time.Minute

// within is the context of a call that must not hang: it ends after patience, and with
// the test. A benchmark has no bound.
func within(t testing.TB) context.Context {
	t.Helper()
	if _, bench := t.(*testing.B); bench {
		return t.Context()
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// receive waits for what a channel brings, or for its end. It fails the test instead of
// hanging.
func receive[T any](t testing.TB, from <-chan T, what string) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-within(t).Done():
		t.Fatalf("waited %v in vain: %s", patience, what)
	}
	return got
}

// waitUntil waits for a condition, at most so long, and reports whether the condition
// holds. A goroutine may call it, which must not end the test.
func waitUntil(most time.Duration, holds func() bool) bool {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(most); !holds(); <-tick.C {
		if time.Now().After(until) {
			return false
		}
	}
	return true
}
