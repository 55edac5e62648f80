package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

//go:embed sql/*.sql
var files embed.FS

func main() {
	log.SetFlags(0)
	url := flag.String("url", "", "connection `string` of the new tables' owner, who reads the old tables too; without it the program shows the way on a throwaway server")
	back := flag.Bool("back", false, "delete the moved rows from the new tables")
	m := mover{progress: func(table string, moved int) { log.Printf("%s: %d rows", table, moved) }}
	flag.BoolVar(&m.dryRun, "dry-run", false, "roll everything back, and report")
	flag.StringVar(&m.tenant, "tenant", "default-tenant", "the `tenant` of rows that name no tenant and have no row in moving.owners")
	flag.IntVar(&m.batch, "batch", 5000, "rows of a transaction")
	flag.Parse()
	var err error
	if *url == "" {
		err = show(context.Background(), os.Stdout)
	} else {
		err = m.run(context.Background(), os.Stdout, *url, *back)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// run moves, or goes back, and prints the counts.
func (m *mover) run(ctx context.Context, out io.Writer, url string, back bool) (err error) {
	if m.db, err = open(ctx, url); err != nil {
		return err
	}
	defer m.db.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing is held
	if back {
		return m.back(ctx)
	}
	if err := m.move(ctx); err != nil {
		return err
	}
	return m.print(out)
}

// open opens a pool without a statement timeout, and makes the table of owners, which an operator
// fills, unless the table is there.
func open(ctx context.Context, url string) (*fxdb.DB, error) {
	db, err := fxdb.Open(ctx, fxdb.Config{URL: url, PoolMin: 1, PoolMax: 2, StatementTimeout: -1})
	if err != nil {
		return nil, err
	}
	if err := prepare(tenant.System(ctx, "the old tables have no tenants"), db); err != nil {
		return nil, errors.Join(err, db.Close(context.WithoutCancel(ctx)))
	}
	return db, nil
}

func prepare(ctx context.Context, db *fxdb.DB) error {
	var there, bypasses bool
	err := db.QueryRow(ctx, "select to_regclass('moving.owners') is not null, rolsuper or rolbypassrls from pg_roles where rolname = current_user").Scan(&there, &bypasses)
	switch {
	case err != nil:
		return err
	case bypasses:
		return errors.New("the role of -url bypasses row-level security, so rows could move to a wrong tenant: use the owner of the new tables")
	case there:
		return nil
	}
	return execFile(ctx, db, "sql/owners.sql")
}

func execFile(ctx context.Context, db *fxdb.DB, file string) error {
	sql, err := files.ReadFile(file)
	if err == nil {
		_, err = db.Exec(ctx, string(sql))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func (m *mover) print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "old\tmoved\tthere\torphans\trefused\tdependents\t table\n")
	for _, s := range steps {
		r := m.reports[s.old]
		fmt.Fprintf(t, "%d\t%d\t%d\t%d\t%d\t%d\t %s to %s\n", r.Old, r.Moved, r.There, r.Orphans, len(r.Refused), r.Dependents, s.old, s.new)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range steps {
		refused := m.reports[s.old].Refused
		for _, key := range slices.Sorted(maps.Keys(refused)) {
			fmt.Fprintf(out, "refused: %s %s: %s\n", s.old, key, refused[key])
		}
	}
	return nil
}
