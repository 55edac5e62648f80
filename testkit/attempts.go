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

// attempts are made on one table, each in a transaction of its own that is rolled back.
//
// The statements name no column they would have to read, neither with where nor with
// returning: as soon as a statement reads, the server lets it reach only what the
// policies for SELECT show, and an open policy for UPDATE or DELETE stays unseen.
type attempts struct {
	db     *fxdb.DB
	admin  *pgx.Conn // no policy binds it
	table  tenantTable
	shared bool
	holes  []string
}

func (a *attempts) hole(format string, args ...any) {
	a.holes = append(a.holes, fmt.Sprintf(format, args...))
}

// findHoles says what the table lets somebody do who must not.
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
		if len(tenants) > 1 { // one stranger is as good as another
			a.write(as, own, tenants[(i+1)%len(tenants)])
		}
	}
	return a.holes
}

// whose names the session that makes an attempt.
func whose(own string) string {
	if own == "" {
		return "a session without a tenant"
	}
	return fmt.Sprintf("a session of tenant %q", own)
}

// strangers are whose rows a session must not reach.
func strangers(own string) string {
	if own == "" {
		return "tenants"
	}
	return "other tenants"
}

func (a *attempts) read(ctx context.Context, own string) {
	var seen map[string]int64
	err := a.rolledBack(ctx, func(tx pgx.Tx) (err error) {
		seen, err = countByTenant(ctx, tx, a.table.quoted)
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

// write tries all that own must not do to the rows and in the name of other.
func (a *attempts) write(ctx context.Context, own, other string) {
	name := own
	if own == "" {
		name = other
	}
	a.change(ctx, own, name)
	reached, _, err := a.exec(ctx, "delete from "+a.table.quoted)
	a.reached(own, "delete", reached, err)
	if own != "" {
		// The parameter takes the column's type, whatever it is.
		_, n, err := a.exec(ctx, fmt.Sprintf("update %s set %s = $1", a.table.quoted, tenantColumn), other)
		switch {
		case err == nil && n > 0:
			a.hole("%s could give %d of its rows to another tenant", whose(own), n)
		case isConstraint(err):
			a.hole("%s could give its rows to another tenant: no policy refused it, only a constraint did", whose(own))
		}
	}
	a.insert(ctx, own, other)
}

// change tries to reach the rows of others by an update that makes them name's: a
// check of what is written alone lets that pass. Where the role may not write the
// tenant, it writes another column it may.
func (a *attempts) change(ctx context.Context, own, name string) {
	columns, err := a.columns(ctx, "UPDATE")
	if err != nil || len(columns) == 0 {
		a.reached(own, "change", nil, err)
		return
	}
	var reached map[string]int64
	if slices.Contains(columns, tenantColumn) {
		reached, _, err = a.exec(ctx, fmt.Sprintf("update %s set %s = $1", a.table.quoted, tenantColumn), name)
		// Own rows keep what they have, so they can't break a constraint.
		if isConstraint(err) && len(reached) == 0 {
			a.hole("%s could change rows of %s: no policy refused it, only a constraint did", whose(own), strangers(own))
		}
	} else {
		column := pgx.Identifier{columns[0]}.Sanitize()
		var row string
		if row, err = a.rowOf(ctx, name); err == nil {
			reached, _, err = a.exec(ctx, fmt.Sprintf("update %[1]s set %[2]s = (select r.%[2]s from jsonb_populate_record(null::%[1]s, $1) r)",
				a.table.quoted, column), row)
		}
	}
	a.reached(own, "change", reached, err)
}

// reached reports the rows of others among those that a statement reached. One that
// failed may have reached some before.
func (a *attempts) reached(own, what string, reached map[string]int64, err error) {
	delete(reached, own)
	var n int64
	for _, rows := range reached {
		n += rows
	}
	switch {
	case n > 0:
		a.hole("%s could %s %d rows of %s", whose(own), what, n, strangers(own))
	case err != nil && !isDenied(err) && !isConstraint(err):
		a.hole("it can't be tried whether %s could %s rows of %s: %v", whose(own), what, strangers(own), err)
	}
}

// insert tries to add a copy of a row of other's. The server asks the policies before
// the constraints: a row that broke one had passed.
func (a *attempts) insert(ctx context.Context, own, other string) {
	columns, err := a.columns(ctx, "INSERT")
	if err != nil {
		a.hole("it can't be tried whether %s could insert rows of %s: %v", whose(own), strangers(own), err)
		return
	}
	if !slices.Contains(columns, tenantColumn) {
		return // nobody's name can be written
	}
	row, err := a.rowOf(ctx, other)
	if err != nil {
		a.hole("it can't be tried whether %s could insert rows of %s: %v", whose(own), strangers(own), err)
		return
	}
	for i, column := range columns {
		columns[i] = pgx.Identifier{column}.Sanitize()
	}
	list := strings.Join(columns, ", ")
	var n int64
	err = a.rolledBack(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, fmt.Sprintf("insert into %[1]s (%[2]s) overriding system value select %[2]s from jsonb_populate_record(null::%[1]s, $1)",
			a.table.quoted, list), row)
		if n = tag.RowsAffected(); err != nil || n == 0 || own == "" {
			return err
		}
		// A trigger may have put the own name in: then the row is nobody else's.
		if seen, err := countByTenant(ctx, tx, a.table.quoted); err == nil && seen[own] > a.table.rows[own] {
			n = 0
		}
		return nil
	})
	switch {
	case isConstraint(err):
		a.hole("%s could insert a row in the name of another tenant: no policy refused it, only a constraint did", whose(own))
	case err != nil && !isDenied(err):
		a.hole("it can't be tried whether %s could insert rows of %s: %v", whose(own), strangers(own), err)
	case n > 0:
		a.hole("%s could insert a row in the name of another tenant", whose(own))
	}
}

// columns are those of the table that the program's role may write, generated ones
// not among them.
func (a *attempts) columns(ctx context.Context, privilege string) (columns []string, err error) {
	err = a.rolledBack(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select a.attname from pg_catalog.pg_attribute a
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

// rowOf is a row of the tenant's, as JSON.
func (a *attempts) rowOf(ctx context.Context, who string) (row string, err error) {
	err = a.admin.QueryRow(ctx, fmt.Sprintf("select to_jsonb(t)::text from %s t where t.%s::text = $1 limit 1", a.table.quoted, tenantColumn), who).Scan(&row)
	return row, err
}

// exec runs a statement and says how many rows it reached of each tenant, and in all.
// The rows tell it themselves: they carry the transaction that last replaced or
// deleted them, even when it failed.
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
	reached, countErr := countByTenant(ctx, a.admin, a.table.quoted+" where xmax::text = '"+xid+"'")
	if countErr != nil {
		return nil, 0, countErr
	}
	return reached, n, err
}

// rolledBack returns what do returns, and undoes all that it did.
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

// isDenied reports whether the server refused for lack of a right: a policy's or a
// privilege.
func isDenied(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "42501"
}

// isConstraint reports whether a row passed the policies and failed a constraint.
func isConstraint(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && strings.HasPrefix(pgErr.Code, "23")
}
