package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/agentagency/onepool/tenant/rls"
)

func enable(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("onepool enable", flag.ContinueOnError)
	goose := flags.Bool("goose", false, "print a whole goose migration, with Up and Down")
	index := flags.Bool("index", false, "create an index on each tenant column, too")
	share := flags.String("share", "", "let owners show rows to the readers that this `table` of grants names")
	owner := flags.String("share-owner", "", "the `column` of -share that owns the rows (default owner_tenant_id)")
	reader := flags.String("share-reader", "", "the `column` of -share with the reading tenant (default reader_tenant_id)")
	module := flags.String("share-module", "", "count only grants whose column module is the `value`")
	if status, ok := parse(flags, args, " schema.table:column[:type] ...", stdout, stderr); !ok {
		return status
	}
	if *share == "" {
		for name, value := range map[string]string{"share-owner": *owner, "share-reader": *reader, "share-module": *module} {
			if value != "" {
				fmt.Fprintf(stderr, "onepool enable: -%s needs -share, the table of grants\n", name)
				return misused
			}
		}
	}
	tables, err := parseTables(flags.Args(), true)
	if err == nil && len(tables) == 0 {
		err = errors.New("no table: name at least one as schema.table:column")
	}
	if err != nil {
		fmt.Fprintf(stderr, "onepool enable: %v\n", err)
		return misused
	}
	for i := range tables {
		tables[i].Index = *index
		if *share != "" {
			tables[i].Sharing = &rls.Sharing{Name: *share, Owner: *owner, Reader: *reader, Module: *module}
		}
	}
	if err := rls.CheckTables(tables...); err != nil {
		fmt.Fprintf(stderr, "onepool enable: %v\n", err)
		return misused
	}
	ddl := rls.Enable(tables...)
	if *goose {
		ddl = rls.Migration(tables...)
	}
	if _, err := io.WriteString(stdout, ddl); err != nil {
		fmt.Fprintf(stderr, "onepool enable: %v\n", err)
		return failed
	}
	return sound
}

// parseTables reads name:column:type. Parts may be in double quotes.
func parseTables(args []string, columnRequired bool) ([]rls.Table, error) {
	var tables []rls.Table
	for _, arg := range args {
		parts := split(arg, ':')
		switch {
		case len(parts) > 3:
			return nil, fmt.Errorf("table %q has too many parts: must be schema.table:column[:type]", arg)
		case len(parts) == 1 && columnRequired:
			return nil, fmt.Errorf("table %q names no column: must be schema.table:column[:type]", arg)
		}
		t := rls.Table{Name: parts[0]}
		if len(parts) > 1 {
			t.Column = parts[1]
		}
		if len(parts) > 2 {
			t.Type = parts[2]
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// split splits at the separator outside of double quotes.
func split(s string, separator byte) []string {
	var parts []string
	start, quoted := 0, false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == separator && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}
