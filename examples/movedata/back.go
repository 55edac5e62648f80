package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/tenant"
)

// errWritten stops the way back.
var errWritten = errors.New("the new table has rows that are in no old table, and the way back would lose the rows: move the rows to the old tables first")

// back deletes the moved rows from the new tables, a tenant in a transaction. The old tables are
// as before the move. If a new table of a moved tenant has other rows too, back deletes nothing.
func (m *mover) back(ctx context.Context) error {
	tenants, err := m.tenants(tenant.System(ctx, "the old tables have no tenants"))
	if err != nil {
		return err
	}
	for _, deletes := range []bool{false, true} {
		for _, name := range tenants {
			ctx := tenant.NewContext(ctx, tenant.Identity{Tenant: name})
			if err := m.db.InTx(ctx, pgx.TxOptions{}, func(tx pgx.Tx) error { return backOf(ctx, tx, deletes) }); err != nil {
				return fmt.Errorf("tenant %q: %w", name, err)
			}
		}
	}
	return nil
}

// backOf checks the new tables of a tenant, and deletes the rows if deletes is set. Rows of no
// tenant stay: old and new clients share the rows.
func backOf(ctx context.Context, tx pgx.Tx, deletes bool) error {
	for _, s := range slices.Backward(steps) {
		if s.of == "" {
			continue
		}
		var own bool
		var err error
		if !s.follows {
			sql := fmt.Sprintf("select exists (select from %s n where not exists (select from %s o where %s))", s.new, s.old, s.match)
			err = tx.QueryRow(ctx, sql).Scan(&own)
		}
		switch {
		case err == nil && own:
			err = errWritten
		case err == nil && deletes:
			_, err = tx.Exec(ctx, "delete from "+s.new)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.new, err)
		}
	}
	if !deletes {
		return nil
	}
	_, err := tx.Exec(ctx, "select registry.recount(), orchestrator.recount()") // a deletion keeps the longest wait
	return err
}
