package measure

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

// Run runs a program with its arguments until it ends or a signal ends it, and
// returns its exit code. The result goes to out, everything else to progress. Usage
// that was asked for (-h, --help, help) is a result.
func Run(program func(ctx context.Context, args []string, out, progress io.Writer) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, program, os.Args[1:], os.Stdout, os.Stderr)
}

func run(ctx context.Context, program func(context.Context, []string, io.Writer, io.Writer) error, args []string, out, progress io.Writer) int {
	asked := func(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }
	if slices.ContainsFunc(args, asked) || len(args) > 0 && args[0] == "help" {
		args, progress = []string{"-h"}, out
	}
	switch err := program(ctx, args, out, progress); {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	default:
		_, _ = fmt.Fprintln(progress, err)
		return 1
	}
}
