package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// mover moves the rows of the old tables, and never changes the old tables.
type mover struct {
	db       *fxdb.DB // as the owner of the new tables, who reads the old tables
	tenant   string   // of rows that name no tenant
	batch    int      // rows of a transaction
	dryRun   bool     // roll everything back
	progress func(table string, moved int)
	reports  map[string]*report // by old table
}

// report is the fate of an old table's rows. Old is the sum of all other counts.
type report struct {
	Old        int
	Moved      int               // by this run
	There      int               // before this run
	Orphans    int               // the parent is not in the old tables
	Dependents int               // the parent was refused, and the row stays with the parent
	Refused    map[string]string // the reason by key: the new table's constraints refuse the row
}

// move moves all rows, tenant by tenant, and counts the rows afterwards.
func (m *mover) move(ctx context.Context) error {
	m.reports = map[string]*report{}
	for _, s := range steps {
		m.reports[s.old] = &report{Refused: map[string]string{}}
	}
	system := tenant.System(ctx, "the old tables have no tenants")
	tenants, err := m.tenants(system)
	if err != nil {
		return err
	}
	if err := m.moveOf(system, ""); err != nil {
		return err
	}
	for _, name := range tenants {
		if err := m.moveOf(tenant.NewContext(ctx, tenant.Identity{Tenant: name}), name); err != nil {
			return fmt.Errorf("tenant %q: %w", name, err)
		}
	}
	return m.account(system)
}

// moveOf moves the rows of a tenant, or without a name the rows of no tenant: each batch in a
// transaction, or for a dry run all batches in one.
func (m *mover) moveOf(ctx context.Context, name string) error {
	if !m.dryRun {
		return m.tables(ctx, name, func(fn func(pgx.Tx) error) error { return m.db.InTx(ctx, pgx.TxOptions{}, fn) })
	}
	tx, err := m.db.Begin(ctx)
	if err != nil {
		return err
	}
	err = m.tables(ctx, name, func(fn func(pgx.Tx) error) error { return pgx.BeginFunc(ctx, tx, fn) })
	return errors.Join(err, tx.Rollback(ctx))
}

// tables moves the tables. begin runs a function in a transaction, and may run the function again.
func (m *mover) tables(ctx context.Context, name string, begin func(func(pgx.Tx) error) error) error {
	for _, s := range steps {
		if (s.of == "") != (name == "") {
			continue
		}
		err := m.table(ctx, s, name, begin)
		if err == nil && s.finish != "" {
			err = begin(func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, s.finish)
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.old, err)
		}
	}
	return nil
}

// table moves a table in batches.
func (m *mover) table(ctx context.Context, s step, name string, begin func(func(pgx.Tx) error) error) error {
	r := m.reports[s.old]
	for last := ""; ; {
		var keys []string
		var done batch
		err := begin(func(tx pgx.Tx) (err error) {
			done = batch{step: s, refused: map[string]string{}}
			if keys, err = m.next(ctx, tx, s, name, last); err == nil {
				err = done.insert(ctx, tx, keys)
			}
			return err
		})
		if err != nil {
			return err
		}
		r.Moved += done.moved
		maps.Copy(r.Refused, done.refused)
		if m.progress != nil && len(keys) > 0 {
			m.progress(s.old, r.Moved)
		}
		if len(keys) < m.batch {
			return nil
		}
		last = keys[len(keys)-1]
	}
}

// next returns the keys of the next rows that have not moved, behind the row with the key last.
func (m *mover) next(ctx context.Context, tx pgx.Tx, s step, name, last string) ([]string, error) {
	of, behind := "true", ""
	if s.of != "" {
		of = s.of
	}
	if last != "" {
		behind = fmt.Sprintf(" and (%s) > (select %[1]s from %[2]s o where o.%[3]s = @last::%[4]s)", s.order, s.old, s.key, s.keyType)
	}
	sql := fmt.Sprintf("select o.%s::text from %s o where %s%s and not exists (select from %s n where %s) order by %s limit @limit",
		s.key, s.old, of, behind, s.new, s.match, s.order)
	rows, err := tx.Query(ctx, sql, pgx.NamedArgs{"last": last, "limit": m.batch, "tenant": name, "default": m.tenant})
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// batch is the outcome of a transaction.
type batch struct {
	step
	moved   int
	refused map[string]string
}

// insert inserts rows, and halves refused rows until each refused row is alone.
func (b *batch) insert(ctx context.Context, tx pgx.Tx, keys []string) error {
	if len(keys) == 0 {
		return nil
	}
	var moved int64
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, b.step.insert(), pgx.NamedArgs{"keys": keys})
		moved = tag.RowsAffected()
		return err
	})
	var refusal *pgconn.PgError
	switch {
	case err == nil:
		b.moved += int(moved)
		return nil
	case !errors.As(err, &refusal) || refusal.Code[:2] != "22" && refusal.Code[:2] != "23":
		return err
	case len(keys) == 1: // the server's message may hold the row's values
		b.refused[keys[0]] = fmt.Sprintf("SQLSTATE %s, constraint %q, column %q", refusal.Code, refusal.ConstraintName, refusal.ColumnName)
		return nil
	}
	half := len(keys) / 2
	if err := b.insert(ctx, tx, keys[:half]); err != nil {
		return err
	}
	return b.insert(ctx, tx, keys[half:])
}

// account counts the rows of all old tables, and fails if a row is in no count or in two.
func (m *mover) account(ctx context.Context) error {
	var errs []error
	for _, s := range steps {
		r := m.reports[s.old]
		orphans := "0"
		if s.parent != "" {
			orphans = "count(*) filter (where not " + s.parent + ")"
		}
		if err := m.db.QueryRow(ctx, fmt.Sprintf("select count(*), %s from %s o", orphans, s.old)).Scan(&r.Old, &r.Orphans); err != nil {
			return fmt.Errorf("%s: %w", s.old, err)
		}
		there, err := m.there(ctx, s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.new, err)
		}
		if !m.dryRun {
			there -= r.Moved // by this run
		}
		r.There = there
		r.Dependents = r.Old - r.Moved - r.There - r.Orphans - len(r.Refused)
		if r.Dependents < 0 || s.parent == "" && r.Dependents != 0 {
			errs = append(errs, fmt.Errorf("%s: rows are in no count, or in two: run again while nobody writes the old tables: %+v", s.old, *r))
		}
	}
	return errors.Join(errs...)
}

// there counts the old rows that have a new row and were not refused, over all tenants. A
// refused row may be the double of a row that has moved.
func (m *mover) there(ctx context.Context, s step) (n int, err error) {
	sql := fmt.Sprintf("select count(*) from %s o where exists (select from %s n where %s) and o.%s <> all(@refused::text[]::%s[])", s.old, s.new, s.match, s.key, s.keyType)
	args := pgx.NamedArgs{"refused": slices.AppendSeq([]string{}, maps.Keys(m.reports[s.old].Refused))}
	count := func(ctx context.Context) (n int, err error) {
		err = m.db.QueryRow(ctx, sql, args).Scan(&n)
		return n, err
	}
	if s.of == "" {
		return count(ctx)
	}
	tenants, err := m.tenants(ctx)
	for _, name := range tenants {
		here, errHere := count(tenant.NewContext(ctx, tenant.Identity{Tenant: name}))
		n, err = n+here, errors.Join(err, errHere)
	}
	return n, err
}

// tenants returns the tenants of all old rows.
func (m *mover) tenants(ctx context.Context) ([]string, error) {
	rows, err := m.db.Query(ctx, `select tenant_id from agent_profiles where tenant_id is not null
		union select tenant_id from moving.owners union select $1 order by 1`, m.tenant)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
