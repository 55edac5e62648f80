package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
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
	for _, w := range []struct {
		args    string
		clients []string
		columns int
	}{
		{"-sizes 100 -calls 2 -loads -snapshot 200ms", slices.Sorted(maps.Keys(subjects())), 4},
		{"-sizes 100,200 -calls 2 -clients verification", []string{"verification"}, 6},
	} {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), strings.Fields(w.args), &out, io.Discard))
		for _, name := range w.clients {
			require.Contains(t, out.String(), "| "+name+", ms")
			for _, c := range subjects()[name]().calls(leastSize) {
				require.Regexp(t, fmt.Sprintf(`(?m)^\| %s +\|( +\d\S* \|){%d}$`, c.name, w.columns), out.String())
			}
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	s, err := parse(strings.Fields("-sizes 100,2000 -clients orchestrator -only Claim -calls 5"), io.Discard)
	require.NoError(t, err)
	require.Equal(t, []int{100, 2000}, s.sizes)
	require.Equal(t, []string{"orchestrator"}, s.clients)
	for _, bad := range []string{"-sizes 99", "-sizes x", "-sizes 200,100", "-clients nobody", "-calls 0", "-snapshot 0s", "argument", "-unknown"} {
		_, err := parse(strings.Fields(bad), io.Discard)
		require.Error(t, err, bad)
	}
}
