package testkit

import (
	"hash/fnv"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// envSeed repeats the random values of a failed test.
const envSeed = "TEST_SEED"

// Rand returns random numbers for a test's rows. The same test gets the same numbers in every
// run: a failure repeats. TEST_SEED, a whole number, changes the numbers of all tests. A failed
// test logs the seed.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	name := fnv.New64a()
	_, _ = name.Write([]byte(t.Name())) // Write never fails
	var seed uint64
	if text := os.Getenv(envSeed); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("testkit: Rand: %s must be a whole number, and is %q", envSeed, text)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("testkit: the seed of the random numbers is %s=%d", envSeed, seed)
		}
	})
	return rand.New(rand.NewPCG(seed, name.Sum64()))
}
