package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant/rls"
)

func verify(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("onepool verify", flag.ContinueOnError)
	var opts []rls.VerifyOption
	format := flags.String("format", "text", "the `format` of the report: text, json or sarif")
	column := flags.String("column", "tenant_id", "the tenant `column`, if -tables names no column")
	flags.Func("tables", "check only the `tables`: schema.table[:column],...", func(s string) error {
		tables, err := parseTables(split(s, ','), false)
		opts = append(opts, rls.Tables(tables...))
		return err
	})
	flags.Func("allow", "keep a finding from counting: `code:object:reason`; object may be *; may be repeated", func(s string) error {
		parts := strings.SplitN(s, ":", 3)
		if len(parts) < 3 {
			return errors.New("must be code:object:reason")
		}
		opts = append(opts, rls.Allow(parts[0], parts[1], parts[2]))
		return nil
	})
	if status, ok := parse(flags, args, "", stdout, stderr); !ok {
		return status
	}
	write, known := map[string]func(rls.Report) error{
		"text":  func(r rls.Report) error { _, err := io.WriteString(stdout, r.String()); return err },
		"json":  func(r rls.Report) error { return r.WriteJSON(stdout) },
		"sarif": func(r rls.Report) error { return r.WriteSARIF(stdout) },
	}[*format]
	if !known {
		fmt.Fprintf(stderr, "onepool verify: -format %q is unknown: must be text, json or sarif\n", *format)
		return misused
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "onepool verify: unexpected argument %q: tables are named with -tables\n", flags.Arg(0))
		return misused
	}

	cfg, err := fxdb.ConfigFromEnv()
	if err != nil {
		fmt.Fprintf(stderr, "onepool verify: %v\n", err)
		return misused
	}
	// One connection is enough, now or never, and nothing is changed.
	cfg.PoolMin, cfg.PoolMax, cfg.ReplicasOfApp = 0, 1, 1
	cfg.Migrate, cfg.MigrateURL = false, ""
	cfg.Start, cfg.VerifyTenancy = fxdb.StartRequire, "off"
	if cfg.TenantRole != "" {
		opts = append(opts, rls.Role(cfg.TenantRole))
	}
	db, err := fxdb.Open(ctx, cfg)
	if err != nil {
		fmt.Fprintf(stderr, "onepool verify: %v\n", err)
		return failed
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	report, err := rls.Verify(ctx, db, append(opts, rls.Column(*column))...)
	switch {
	case errors.Is(err, rls.ErrOption):
		fmt.Fprintf(stderr, "onepool verify: %v\n", err)
		return misused
	case err != nil:
		fmt.Fprintf(stderr, "onepool verify: %v\n", err)
		return failed
	}
	if err := write(report); err != nil {
		fmt.Fprintf(stderr, "onepool verify: write the report: %v\n", err)
		return failed
	}
	if !report.OK() {
		return unsound
	}
	return sound
}
