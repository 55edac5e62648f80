package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/agentagency/onepool/fxdb/devdb"
)

// devDatabase is the database of the throwaway server, as under devdb.Module.
const devDatabase = "app"

// dev starts a throwaway server, prints an application's settings as shell commands, and stops
// the server when ctx ends.
func dev(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("onepool dev", flag.ContinueOnError)
	if status, ok := parse(flags, args, "", stdout, stderr); !ok {
		return status
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "onepool dev: unexpected argument %q\n", flags.Arg(0))
		return misused
	}
	server, err := devdb.Start(ctx)
	if err != nil {
		fmt.Fprintf(stderr, "onepool dev: %v\n", err)
		return failed
	}
	err = server.CreateDatabase(ctx, devDatabase)
	if err == nil {
		fmt.Fprintf(stdout, "export DATABASE_URL='%s'\nexport DB_MIGRATE_URL='%s'\nexport DB_MIGRATE=true\n",
			server.DatabaseURL(devdb.RoleApp, devDatabase), server.DatabaseURL(devdb.RoleOwner, devDatabase))
		fmt.Fprintf(stderr, "onepool dev: %v: an interrupt stops the server and deletes the data\n", server)
		<-ctx.Done()
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if stopErr := server.Stop(stopping); err == nil {
		err = stopErr
	}
	if err != nil {
		fmt.Fprintf(stderr, "onepool dev: %v\n", err)
		return failed
	}
	return sound
}
