package measure

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestUsageIsAResultWhenItWasAskedFor(t *testing.T) {
	t.Parallel()
	program := func(_ context.Context, args []string, _, progress io.Writer) error {
		f := flag.NewFlagSet("example", flag.ContinueOnError)
		f.SetOutput(progress)
		f.String("only", "", "run this alone")
		if err := f.Parse(args); err != nil {
			return err
		}
		if f.NArg() > 0 {
			return errors.New("there are no arguments")
		}
		return nil
	}
	for _, args := range [][]string{{"-h"}, {"-help"}, {"--help"}, {"help"}, {"-only", "x", "--help"}} {
		var out, progress bytes.Buffer
		require.Zero(t, run(t.Context(), program, args, &out, &progress), args)
		require.Contains(t, out.String(), "run this alone", args)
		require.Empty(t, progress.String(), args)
	}
	for _, args := range [][]string{{"-what"}, {"more"}} {
		var out, progress bytes.Buffer
		require.Equal(t, 1, run(t.Context(), program, args, &out, &progress), args)
		require.Empty(t, out.String(), args)
		require.NotEmpty(t, progress.String(), args)
	}
	require.Zero(t, run(t.Context(), program, []string{"-only", "help"}, io.Discard, io.Discard), "a value is no question")
}
