package testkit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/fxdb/devdb"
	"github.com/agentagency/onepool/tenant"
)

// readAs returns the rows that the restricted role gets with the identity, as a single text.
// The order of the rows does not matter. An error of the server is a result too. readAs rolls
// the statement back.
func readAs(ctx context.Context, tx pgx.Tx, as tenant.Identity, sql string, args []any) (rows string, err error) {
	inner, err := tx.Begin(ctx) // a savepoint
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, inner.Rollback(ctx)) }()
	if _, err := inner.Exec(ctx, "set local role "+pgx.Identifier{devdb.RoleApp}.Sanitize()); err != nil {
		return "", err
	}
	_, err = inner.Exec(ctx, `select set_config('app.current_tenant', $1, true), set_config('app.current_user', $2, true),
		set_config('app.current_session', $3, true)`, as.Tenant, as.User, as.Session)
	if err != nil {
		return "", err
	}
	// pgx asks the server for the types of the parameters, and the server keeps no plan.
	found, err := inner.Query(ctx, sql, append([]any{pgx.QueryExecModeCacheDescribe}, args...)...)
	if err != nil {
		return resultOf(err)
	}
	defer found.Close()
	var all []string
	for found.Next() {
		all = append(all, fmt.Sprintf("%q", found.RawValues()))
	}
	if err := found.Err(); err != nil {
		return resultOf(err)
	}
	slices.Sort(all)
	return strings.Join(all, "\n"), nil
}

// resultOf makes a result of the server's error, or of a parameter without an encoding.
func resultOf(err error) (string, error) {
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return "error " + pgErr.Code, nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return "", err
	}
	return "error of the client", nil
}

// refreshViews fills the materialized views anew: a view is a copy of the tables' rows.
func refreshViews(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, "select c.oid::regclass::text from pg_catalog.pg_class c where c.relkind = 'm' order by c.oid")
	if err != nil {
		return err
	}
	views, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, view := range views {
		if _, err := tx.Exec(ctx, "refresh materialized view "+view); err != nil {
			return err
		}
	}
	return nil
}

// remove deletes the tenant's rows, and the rows that refer to deleted rows, without the
// tables' triggers.
func (s *stage) remove(ctx context.Context, tx pgx.Tx, own string) error {
	if _, err := tx.Exec(ctx, "set local session_replication_role = replica"); err != nil {
		return err
	}
	for _, table := range s.tables {
		if slices.Contains(s.shared, table.name) {
			continue
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf("delete from %s where %s::text = $1", table.quoted, tenantColumn), own); err != nil {
			return err
		}
	}
	if err := s.removeOrphans(ctx, tx); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "set local session_replication_role = origin")
	return err
}

// removeOrphans deletes rows until every foreign key of the rest names a present row.
func (s *stage) removeOrphans(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, `
		select n.nspname || '.' || c.relname, format('delete from %s c where %s and not exists (select from %s p where %s)',
			k.conrelid::regclass,
			(select string_agg(format('c.%I is not null', a.attname), ' and ') from unnest(k.conkey) x join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = x),
			k.confrelid::regclass,
			(select string_agg(format('p.%I = c.%I', p.attname, a.attname), ' and ') from unnest(k.conkey, k.confkey) x(child, parent)
				join pg_catalog.pg_attribute a on a.attrelid = k.conrelid and a.attnum = x.child
				join pg_catalog.pg_attribute p on p.attrelid = k.confrelid and p.attnum = x.parent))
		from pg_catalog.pg_constraint k join pg_catalog.pg_class c on c.oid = k.conrelid join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		where k.contype = 'f' and k.conparentid = 0`)
	if err != nil {
		return err
	}
	var deletes []string
	var table, sql string
	_, err = pgx.ForEachRow(rows, []any{&table, &sql}, func() error {
		if !slices.Contains(s.shared, table) {
			deletes = append(deletes, sql)
		}
		return nil
	})
	for deleted := int64(1); err == nil && deleted > 0; {
		deleted = 0
		for _, sql := range deletes {
			tag, execErr := tx.Exec(ctx, sql)
			if execErr != nil {
				return execErr
			}
			deleted += tag.RowsAffected()
		}
	}
	return err
}
