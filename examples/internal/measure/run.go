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

// Run runs the program with the arguments of the process, and returns the exit code. An interrupt
// or SIGTERM ends the program's ctx. The program writes the result to out, and all progress and
// errors to progress. If an argument asks for usage (-h, --help, help), the usage is the result.
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
