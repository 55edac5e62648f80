package testkit

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

const (
	databasePrefix = "onepool_test_" // and the run, and a number
	templatePrefix = "onepool_template_"
	// unusedAfter is the time from the last use of a template, or from the failure of a test,
	// to the drop of the database.
	unusedAfter = "1 day"
	// usedMark stands in the comment of a database before the time of the last use.
	usedMark = "onepool testkit, used "
)

// markUsed writes the time into the database's comment: sweep keeps the database for
// unusedAfter.
func markUsed(ctx context.Context, conn *pgx.Conn, database string) error {
	var sql string
	err := conn.QueryRow(ctx, "select format('comment on database %I is %L', $1::text, $2::text || now()::text)",
		database, usedMark).Scan(&sql)
	if err == nil {
		_, err = conn.Exec(ctx, sql)
	}
	return err
}

// leftBehind returns the databases of runs without a connection: the processes were killed,
// or ended without Main. leftBehind drops the templates that no run has used for unusedAfter,
// and keeps the databases of failed tests for unusedAfter.
func (s *server) leftBehind(ctx context.Context) (names []string) {
	_ = s.admin.do(ctx, func(conn *pgx.Conn) error {
		if err := dropTemplates(ctx, conn); err != nil {
			return err
		}
		rows, err := conn.Query(ctx, `
			select d.datname from pg_database d
			where starts_with(d.datname, @prefix) and `+unused+`
			  and not exists (select from pg_stat_activity a where a.application_name = @admin || split_part(d.datname, '_', 3))`,
			pgx.NamedArgs{"prefix": databasePrefix, "admin": adminName, "mark": usedMark, "after": unusedAfter})
		if err != nil {
			return err
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}) // An error fails no test: the next run tries again.
	return names
}

// unused holds for a row d of pg_database without a mark within the time.
const unused = `coalesce(split_part(shobj_description(d.oid, 'pg_database'), @mark, 2)::timestamptz < now() - @after::interval, true)`

// dropTemplates drops unused templates under the lock that a process holds while the process
// takes a template into use.
func dropTemplates(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `select datname from pg_database d where starts_with(datname, @prefix) and `+unused,
		pgx.NamedArgs{"prefix": templatePrefix, "mark": usedMark, "after": unusedAfter})
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := dropTemplate(ctx, conn, name); err != nil {
			return fmt.Errorf("drop template %s: %w", name, err)
		}
	}
	return nil
}

func dropTemplate(ctx context.Context, conn *pgx.Conn, name string) error {
	var locked bool
	if err := conn.QueryRow(ctx, "select pg_try_advisory_lock(hashtextextended($1, 0))", name).Scan(&locked); err != nil || !locked {
		return err
	}
	defer func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock(hashtextextended($1, 0))", name)
	}()
	var still bool // a process may have taken the template meanwhile
	err := conn.QueryRow(ctx, "select exists (select from pg_database d where datname = @name and "+unused+")",
		pgx.NamedArgs{"name": name, "mark": usedMark, "after": unusedAfter}).Scan(&still)
	if err != nil || !still {
		return err
	}
	quoted := pgx.Identifier{name}.Sanitize()
	for _, sql := range []string{
		"alter database " + quoted + " with is_template false",
		"drop database " + quoted,
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

// drop drops the database of a test.
func (s *server) drop(ctx context.Context, name string) error {
	return s.admin.do(ctx, func(conn *pgx.Conn) error {
		if strings.HasPrefix(name, databasePrefix+s.run+"_") {
			awaitNoSession(ctx, conn, name)
		}
		if _, err := conn.Exec(ctx, "drop database if exists "+pgx.Identifier{name}.Sanitize()+" with (force)"); err != nil {
			return fmt.Errorf("drop database %s: %w", name, err)
		}
		return nil
	})
}
