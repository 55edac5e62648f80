package main

import (
	"bytes"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/agentagency/onepool/internal/testing/size"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A new method of a client fails here until the program times the method.
func TestEveryPublicMethodIsTimed(t *testing.T) {
	t.Parallel()
	for name, newSubject := range subjects() {
		s := newSubject()
		timed := map[string]bool{}
		for _, c := range s.calls(leastSize) {
			method, _, _ := strings.Cut(c.name, ":")
			timed[method] = true
		}
		for m := range reflect.TypeOf(s.client()).Methods() {
			require.True(t, timed[m.Name], "%s: time %s in calls", name, m.Name)
			delete(timed, m.Name)
		}
		require.Empty(t, timed, "%s has no such methods", name)
	}
}

func TestTheWholeProgram(t *testing.T) {
	t.Parallel()
	size.SkipShort(t)
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{"-sizes", "100,200", "-calls", "3", "-loads"}, &out, io.Discard))
	for name, newSubject := range subjects() {
		require.Contains(t, out.String(), "| "+name+", ms")
		for _, c := range newSubject().calls(leastSize) {
			require.Regexp(t, `(?m)^\| `+c.name+` +\|( +\d\S* \|){6}$`, out.String())
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	s, err := parse(strings.Fields("-sizes 100,2000 -clients orchestrator -only Claim -calls 5"), io.Discard)
	require.NoError(t, err)
	require.Equal(t, []int{100, 2000}, s.sizes)
	require.Equal(t, []string{"orchestrator"}, s.clients)
	for _, bad := range []string{"-sizes 99", "-sizes x", "-sizes 200,100", "-clients nobody", "-calls 0", "argument", "-unknown"} {
		_, err := parse(strings.Fields(bad), io.Discard)
		require.Error(t, err, bad)
	}
}
