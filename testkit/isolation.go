package testkit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// tenantColumn is what a table of tenants has.
const tenantColumn = "tenant_id"

// RequireIsolation fails the test for every table in which one tenant can reach
// another's rows, or nobody any. It finds the tables in the catalog: all that have
// a column tenant_id. It reads as every tenant that has rows and as none, tries to
// change and delete a stranger's rows and to give own ones away, and rolls all of it
// back. A table proves nothing without rows of two tenants: fill all of them first,
// as the program under test does. In the tables shared, rows of others may be read,
// since a policy grants that; they are told by their names with schema.
//
// db comes from DB or Swap. It returns the tables, by name with schema.
func RequireIsolation(t testing.TB, db *fxdb.DB, shared ...string) []string {
	t.Helper()
	name, ok := databases.Load(db.Pool())
	if !ok {
		t.Fatalf("testkit: RequireIsolation: this *fxdb.DB was not made by testkit")
	}
	tables, err := tenantTables(t.Context(), name.(string))
	if err != nil {
		t.Fatalf("testkit: RequireIsolation: %v", err)
	}
	if len(tables) == 0 {
		t.Errorf("testkit: RequireIsolation: no table has a column %s", tenantColumn)
	}
	db = db.Named("testkit isolation")
	names := make([]string, len(tables))
	for i, table := range tables {
		names[i] = table.name
		if len(table.rows) < 2 {
			t.Errorf("testkit: %s has rows of %d tenants: two are needed to prove anything", table.name, len(table.rows))
		}
		for _, hole := range table.holes(t.Context(), db, slices.Contains(shared, table.name)) {
			t.Errorf("testkit: %s: %s", table.name, hole)
		}
	}
	return names
}

// tenantTable is a table and how many rows each tenant has in it.
type tenantTable struct {
	name   string
	quoted string
	rows   map[string]int64
}

// tenantTables looks at the database as the server's administrator, whom no policy
// binds.
func tenantTables(ctx context.Context, database string) ([]tenantTable, error) {
	s, err := connect()
	if err != nil {
		return nil, err
	}
	cc := s.admin.Config().ConnConfig.Copy()
	cc.Database = database
	conn, err := pgx.ConnectConfig(ctx, cc)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `
		select n.nspname || '.' || c.relname, format('%I.%I', n.nspname, c.relname)
		from pg_catalog.pg_class c
		join pg_catalog.pg_namespace n on n.oid = c.relnamespace
		join pg_catalog.pg_attribute a on a.attrelid = c.oid
		where c.relkind in ('r', 'p') and not c.relispartition and a.attname = $1 and not a.attisdropped
		and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\_%'
		order by 1`, tenantColumn)
	if err != nil {
		return nil, err
	}
	tables, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (table tenantTable, err error) {
		err = row.Scan(&table.name, &table.quoted)
		return table, err
	})
	for i := range tables {
		if err == nil {
			tables[i].rows, err = countByTenant(ctx, conn, tables[i].quoted)
		}
	}
	return tables, err
}

func countByTenant(ctx context.Context, on interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}, table string) (map[string]int64, error) {
	rows, err := on.Query(ctx, fmt.Sprintf("select coalesce(%s::text, ''), count(*) from %s group by 1", tenantColumn, table))
	if err != nil {
		return nil, err
	}
	counts := make(map[string]int64)
	var who string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&who, &n}, func() error { counts[who] = n; return nil })
	return counts, err
}

// errRollBack ends a look at a table.
var errRollBack = errors.New("roll back")

// holes are what the table lets somebody do who must not.
func (table tenantTable) holes(ctx context.Context, db *fxdb.DB, shared bool) (holes []string) {
	hole := func(format string, args ...any) { holes = append(holes, fmt.Sprintf(format, args...)) }
	look := func(ctx context.Context, whose string, do func(tx pgx.Tx) error) {
		err := db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
			if err := do(tx); err != nil {
				return err
			}
			return errRollBack
		})
		if !errors.Is(err, errRollBack) && !isDenied(err) {
			hole("%s can't be looked at: %v", whose, err)
		}
	}
	look(tenant.System(ctx, "testkit.RequireIsolation"), "nobody's view", func(tx pgx.Tx) error {
		seen, err := countByTenant(ctx, tx, table.quoted)
		if len(seen) > 0 {
			hole("without a tenant the rows of %d tenants are seen", len(seen))
		}
		return err
	})
	for own, n := range table.rows {
		if own == "" {
			hole("%d rows have no tenant", n)
			continue
		}
		who := fmt.Sprintf("tenant %q", own)
		as := tenant.NewContext(ctx, tenant.Identity{Tenant: own})
		look(as, who, func(tx pgx.Tx) error {
			seen, err := countByTenant(ctx, tx, table.quoted)
			if err != nil {
				return err
			}
			if seen[own] != n {
				hole("%s sees %d of its %d rows", who, seen[own], n)
			}
			delete(seen, own)
			if len(seen) > 0 && !shared {
				hole("%s sees rows of %d others", who, len(seen))
			}
			return nil
		})
		for other := range table.rows {
			if other == own || other == "" {
				continue
			}
			for what, sql := range map[string]string{
				"changes %d rows of a stranger": "update %[1]s set %[2]s = %[2]s where %[2]s::text = $1",
				"deletes %d rows of a stranger": "delete from %[1]s where %[2]s::text = $1",
			} {
				look(as, who, func(tx pgx.Tx) error {
					tag, err := tx.Exec(ctx, fmt.Sprintf(sql, table.quoted, tenantColumn), other)
					if tag.RowsAffected() > 0 {
						hole(who+" "+what, tag.RowsAffected())
					}
					return err
				})
			}
			look(as, who, func(tx pgx.Tx) error {
				// The parameter takes the column's type, whatever it is.
				tag, err := tx.Exec(ctx, fmt.Sprintf("update %[1]s set %[2]s = $1", table.quoted, tenantColumn), other)
				if err == nil && tag.RowsAffected() > 0 {
					hole("%s gives %d of its rows to another tenant", who, tag.RowsAffected())
				}
				if isConstraint(err) {
					hole("%s may give its rows to another tenant: no policy refused it, only a constraint", who)
					return nil
				}
				return err
			})
			break // one stranger is as good as another
		}
	}
	return holes
}

// isDenied reports whether the server refused for lack of a right: a policy's or a
// privilege.
func isDenied(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42501"
}

// isConstraint reports whether a row passed the policies and failed a constraint.
func isConstraint(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code[:2] == "23"
}
