package testkit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// errRollBack ends an attempt.
var errRollBack = errors.New("roll back")

func isRolledBack(err error) bool { return errors.Is(err, errRollBack) }

// attempts try statements on a table, and roll the transaction of each statement back.
//
// The statements read no column, neither with WHERE nor with RETURNING. The SELECT policies
// restrict a statement that reads, and would hide an open policy for UPDATE or DELETE.
type attempts struct {
	db     *fxdb.DB
	admin  *pgx.Conn // the server's administrator: no policy binds the connection
	table  isolatedTable
	shared bool // a tenant may read another tenant's rows
	holes  []string
}

func (a *attempts) hole(format string, args ...any) {
	a.holes = append(a.holes, fmt.Sprintf(format, args...))
}

// findHoles tries every tenant with rows, and a session without a tenant.
func (a *attempts) findHoles(ctx context.Context) []string {
	tenants := make([]string, 0, len(a.table.rows))
	for who, n := range a.table.rows {
		if who == "" {
			a.hole("%d rows have no tenant", n)
			continue
		}
		tenants = append(tenants, who)
	}
	slices.Sort(tenants)
	system := tenant.System(ctx, "testkit.RequireIsolation")
	a.read(system, "")
	if len(tenants) > 0 {
		a.write(system, "", tenants[0])
	}
	for i, own := range tenants {
		as := tenant.NewContext(ctx, tenant.Identity{Tenant: own})
		a.read(as, own)
		if len(tenants) > 1 { // the next tenant stands for the rest
			a.write(as, own, tenants[(i+1)%len(tenants)])
		}
	}
	return a.holes
}

// whose names the session of an attempt.
func whose(own string) string {
	if own == "" {
		return "a session without a tenant"
	}
	return fmt.Sprintf("a session of tenant %q", own)
}

// others names the owners of the rows that a session must not reach.
func (a *attempts) others(own string) string {
	switch {
	case a.table.common:
		return "all tenants"
	case own == "":
		return "tenants"
	}
	return "other tenants"
}

func (a *attempts) read(ctx context.Context, own string) {
	var seen map[string]int64
	err := a.rolledBack(ctx, func(tx pgx.Tx) (err error) {
		seen, err = a.seen(ctx, tx)
		return err
	})
	if isDenied(err) {
		return
	}
	switch {
	case err != nil:
		a.hole("%s could not read: %v", whose(own), err)
	case own == "" && len(seen) > 0:
		a.hole("%s could read the rows of %d tenants", whose(own), len(seen))
	case own != "" && seen[own] != a.table.rows[own]:
		a.hole("%s could read only %d of its %d rows", whose(own), seen[own], a.table.rows[own])
	}
	delete(seen, own)
	if own != "" && len(seen) > 0 && !a.shared {
		a.hole("%s could read rows of %d other tenants", whose(own), len(seen))
	}
}

// seen counts the rows that the transaction reads, by tenant. The administrator looks the
// tenants of a child's rows up: the transaction may not read the parents.
func (a *attempts) seen(ctx context.Context, tx pgx.Tx) (map[string]int64, error) {
	if a.table.parent == "" {
		return a.table.countByTenant(ctx, tx, "")
	}
	rows, err := tx.Query(ctx, "select tableoid::text || ctid::text from "+a.table.quoted)
	if err != nil {
		return nil, err
	}
	places, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	return a.table.countByTenant(ctx, a.admin, "where t.tableoid::text || t.ctid::text = any ($1)", places)
}

// write tries to write the rows of other, and rows in the name of other, as own.
func (a *attempts) write(ctx context.Context, own, other string) {
	name := own
	if own == "" || a.table.common {
		name = other
	}
	a.change(ctx, own, name)
	reached, _, err := a.exec(ctx, "delete from "+a.table.quoted)
	a.reached(own, "delete", reached, err)
	if own != "" && !a.table.common {
		n, err := a.give(ctx, other)
		switch {
		case err == nil && n > 0:
			a.hole("%s could give %d of its rows to another tenant", whose(own), n)
		case isConstraint(err):
			a.hole("%s could give its rows to another tenant: only a constraint refused the write, and no policy did", whose(own))
		}
	}
	a.insert(ctx, own, other)
}

// give tries to give every row of the session to the tenant other.
func (a *attempts) give(ctx context.Context, other string) (n int64, err error) {
	if a.table.parent == "" { // the parameter takes the column's type
		_, n, err = a.exec(ctx, fmt.Sprintf("update %s set %s = $1", a.table.quoted, a.table.columns[0]), other)
		return n, err
	}
	row, err := a.rowOf(ctx, other)
	if err != nil {
		return 0, err
	}
	list := strings.Join(a.table.columns, ", ")
	_, n, err = a.exec(ctx, fmt.Sprintf("update %[1]s set (%[2]s) = (select %[2]s from jsonb_populate_record(null::%[1]s, $1))", a.table.quoted, list), row)
	return n, err
}

// change tries to reach the rows of others. The update gives the rows to the tenant name: a
// WITH CHECK alone lets the update pass. If the role may not write the tenant column, change
// writes another column.
func (a *attempts) change(ctx context.Context, own, name string) {
	columns, err := a.columns(ctx, "UPDATE")
	if err != nil || len(columns) == 0 {
		a.reached(own, "change", nil, err)
		return
	}
	var reached map[string]int64
	if a.table.parent == "" && !a.table.common && slices.Contains(columns, a.table.columns[0]) {
		reached, _, err = a.exec(ctx, fmt.Sprintf("update %s set %s = $1", a.table.quoted, a.table.columns[0]), name)
		// Own rows keep the tenant, and break no constraint.
		if isConstraint(err) && len(reached) == 0 {
			a.hole("%s could change rows of %s: only a constraint refused the write, and no policy did", whose(own), a.others(own))
		}
	} else {
		column := columns[0]
		var row string
		if row, err = a.rowOf(ctx, name); err == nil {
			reached, _, err = a.exec(ctx, fmt.Sprintf("update %[1]s set %[2]s = (select r.%[2]s from jsonb_populate_record(null::%[1]s, $1) r)",
				a.table.quoted, column), row)
		}
	}
	a.reached(own, "change", reached, err)
}

// reached reports the rows of others that a statement reached. A failed statement may have
// reached rows before the failure.
func (a *attempts) reached(own, what string, reached map[string]int64, err error) {
	delete(reached, own)
	var n int64
	for _, rows := range reached {
		n += rows
	}
	switch {
	case n > 0:
		a.hole("%s could %s %d rows of %s", whose(own), what, n, a.others(own))
	case err != nil && !isDenied(err) && !isConstraint(err):
		a.hole("testkit can't try whether %s could %s rows of %s: %v", whose(own), what, a.others(own), err)
	}
}

// insert tries to add a copy of a row of the tenant other. The server asks the policies
// before the constraints: a row that breaks a constraint has passed the policies.
func (a *attempts) insert(ctx context.Context, own, other string) {
	columns, err := a.columns(ctx, "INSERT")
	if err != nil {
		a.hole("testkit can't try whether %s could insert rows of %s: %v", whose(own), a.others(own), err)
		return
	}
	if slices.ContainsFunc(a.table.columns, func(column string) bool { return !slices.Contains(columns, column) }) {
		return // the role can't write the columns that decide the tenant
	}
	row, err := a.rowOf(ctx, other)
	if err != nil {
		a.hole("testkit can't try whether %s could insert rows of %s: %v", whose(own), a.others(own), err)
		return
	}
	list := strings.Join(columns, ", ")
	var n int64
	err = a.rolledBack(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, fmt.Sprintf("insert into %[1]s (%[2]s) overriding system value select %[2]s from jsonb_populate_record(null::%[1]s, $1)",
			a.table.quoted, list), row)
		if n = tag.RowsAffected(); err != nil || n == 0 || own == "" || a.table.parent != "" || a.table.common {
			return err
		}
		// A trigger may have written the session's own tenant.
		if seen, err := a.seen(ctx, tx); err == nil && seen[own] > a.table.rows[own] {
			n = 0
		}
		return nil
	})
	name := "in the name of another tenant"
	if a.table.common {
		name = "for all tenants"
	}
	switch {
	case isConstraint(err):
		a.hole("%s could insert a row %s: only a constraint refused the write, and no policy did", whose(own), name)
	case err != nil && !isDenied(err):
		a.hole("testkit can't try whether %s could insert rows of %s: %v", whose(own), a.others(own), err)
	case n > 0:
		a.hole("%s could insert a row %s", whose(own), name)
	}
}

// columns returns the table's quoted columns that the program's role may write, without
// generated columns.
func (a *attempts) columns(ctx context.Context, privilege string) (columns []string, err error) {
	err = a.rolledBack(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select format('%I', a.attname) from pg_catalog.pg_attribute a
			where a.attrelid = (select c.oid from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
				where format('%I.%I', n.nspname, c.relname) = $1)
			and a.attnum > 0 and not a.attisdropped and a.attgenerated = '' and ($2 = 'INSERT' or a.attidentity <> 'a')
			and has_column_privilege(a.attrelid, a.attnum, $2)
			order by a.attnum`, a.table.quoted, privilege)
		if err != nil {
			return err
		}
		columns, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return columns, err
}

// rowOf is a row of the tenant, as JSON.
func (a *attempts) rowOf(ctx context.Context, who string) (row string, err error) {
	err = a.admin.QueryRow(ctx, fmt.Sprintf("select to_jsonb(t)::text from %s t where %s = $1 limit 1", a.table.quoted, a.table.tenant), who).Scan(&row)
	return row, err
}

// exec runs a statement, counts the reached rows by tenant, and returns the number of affected
// rows. A row carries the ID of the transaction that last replaced or deleted the row, even if
// the transaction failed.
func (a *attempts) exec(ctx context.Context, sql string, args ...any) (reached map[string]int64, n int64, err error) {
	var xid string
	err = a.rolledBack(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "select pg_current_xact_id()::xid::text").Scan(&xid); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, sql, args...)
		n = tag.RowsAffected()
		return err
	})
	if xid == "" {
		return nil, 0, err
	}
	reached, countErr := a.table.countByTenant(ctx, a.admin, "where t.xmax::text = $1", xid)
	if countErr != nil {
		return nil, 0, countErr
	}
	return reached, n, err
}

// rolledBack runs do in a transaction, rolls the transaction back, and returns the error of do.
func (a *attempts) rolledBack(ctx context.Context, do func(tx pgx.Tx) error) error {
	err := a.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return errRollBack
	})
	if isRolledBack(err) {
		return nil
	}
	return err
}

// isDenied reports whether a policy or a missing privilege refused the statement.
func isDenied(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42501"
}

// isConstraint reports whether a row passed the policies and failed a constraint.
func isConstraint(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && strings.HasPrefix(pgErr.Code, "23")
}
