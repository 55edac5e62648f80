// Command onepool checks a database's tenant isolation, writes the DDL for it, and starts a
// throwaway server for development.
//
//	onepool verify [-format text|json|sarif] [-column name] [-tables schema.table[:column],...] [-allow code:object:reason]...
//	onepool enable [-goose] [-index] [-share grants-table [-share-owner column] [-share-reader column] [-share-module value]] schema.table:column[:type] ...
//	onepool dev
//
// verify connects with the settings of the application (DATABASE_URL or DB_*),
// as the role that the application works as, and changes nothing.
//
// The exit status is 0 when the database is sound, 1 when there is a finding of
// level error that is not allowed, 2 for wrong arguments and settings, and 3
// when the database can't be asked.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
)

const (
	sound   = 0
	unsound = 1
	misused = 2
	failed  = 3
)

const usage = `usage:
  onepool verify [flags]                                check the tenant isolation of a database
  onepool enable [flags] schema.table:column[:type] ... print the DDL that isolates tables
  onepool dev                                           start a throwaway server, and print an application's settings

"onepool verify -h" and "onepool enable -h" list the flags. verify reads the settings
of the application: DATABASE_URL, or DB_HOST, DB_NAME, DB_USER and DB_PASSWORD.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run runs the command of args, and returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintf(stderr, "%s", usage)
		return misused
	}
	switch args[0] {
	case "verify":
		return verify(ctx, args[1:], stdout, stderr)
	case "enable":
		return enable(args[1:], stdout, stderr)
	case "dev":
		return dev(ctx, args[1:], stdout, stderr)
	case "help", "-h", "-help", "--help":
		if len(args) > 1 {
			return run(ctx, []string{args[1], "-h"}, stdout, stderr)
		}
		fmt.Fprintf(stdout, "%s", usage)
		return sound
	}
	fmt.Fprintf(stderr, "onepool: unknown command %q\n%s", args[0], usage)
	return misused
}

// parse reads flags. If ok is false, the caller returns status at once. parse writes help that
// the user asked for to stdout.
func parse(flags *flag.FlagSet, args []string, arguments string, stdout, stderr io.Writer) (status int, ok bool) {
	var text bytes.Buffer
	flags.SetOutput(&text)
	flags.Usage = func() {
		fmt.Fprintf(&text, "usage: %s [flags]%s\n", flags.Name(), arguments)
		flags.PrintDefaults()
	}
	if len(args) > 0 && args[0] == "help" {
		args = []string{"-h"}
	}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, _ = text.WriteTo(stdout)
		return sound, false
	case err != nil:
		_, _ = text.WriteTo(stderr)
		return misused, false
	}
	return 0, true
}
