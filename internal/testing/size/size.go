package size

import (
	"os"
	"testing"
)

// SoakVariable is the environment variable that asks for the soak size.
const SoakVariable = "ONEPOOL_SOAK"

// Soak reports whether ONEPOOL_SOAK is set to anything but the empty string.
func Soak() bool { return os.Getenv(SoakVariable) != "" }

// Of returns short under -short, soak if ONEPOOL_SOAK is set, and usual otherwise.
// The environment variable wins if both are given.
func Of[T any](short, usual, soak T) T {
	switch {
	case Soak():
		return soak
	case testing.Short():
		return short
	}
	return usual
}

// SkipShort skips a test that proves a detail under -short. A test of a promise in the
// README runs at every size.
func SkipShort(t testing.TB) {
	t.Helper()
	if testing.Short() && !Soak() {
		t.Skip(ShortReason)
	}
}

// SkipUnlessSoak skips a test that costs seconds. The caller names a test of the usual size
// that checks a part of the same.
func SkipUnlessSoak(t testing.TB, usual string) {
	t.Helper()
	if !Soak() {
		t.Skip(SoakReason + ": " + usual + " checks a part of it in less time")
	}
}

// The beginnings of the messages of skipped tests, which .ci/skips lists.
const (
	ShortReason = "left out by -short"
	SoakReason  = "runs if ONEPOOL_SOAK is set"
)
