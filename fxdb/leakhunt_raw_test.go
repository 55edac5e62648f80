package fxdb_test

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
	"github.com/agentagency/onepool/tenant"
)

// What the hunt does by the raw pool, in its session mode. A pool behind a pooler refuses a
// tenant, and without a tenant the raw pool runs as the login.

func refusedRaw(err error) error {
	if errors.Is(err, fxdb.ErrTenantNotCarried) {
		return nil
	}
	return err
}

func (h *hunter) raw() error {
	if h.tenant == "" {
		return h.rawSettings()
	}
	token := h.token()
	return refusedRaw(h.look(h.db.Pool().QueryRow(h.ctx, huntRow, token, h.id), token))
}

func (h *hunter) rawSettings() error {
	token := h.token()
	return refusedRaw(h.lookAtSettings(h.db.Pool().QueryRow(h.ctx, huntSettings, token), token))
}

// rawTx now and then leaves the end of the transaction to the release.
func (h *hunter) rawTx() error {
	if h.tenant == "" {
		return h.rawSettings()
	}
	conn, err := h.db.Pool().Acquire(h.ctx)
	if err != nil {
		return refusedRaw(err)
	}
	defer conn.Release()
	tx, err := conn.Begin(h.ctx)
	if err != nil {
		return err
	}
	done, err := tx.Exec(h.ctx, huntUpdate, h.body(h.token()), h.id)
	if err := h.counted(int(done.RowsAffected()), 1, err); err != nil {
		_ = tx.Rollback(h.ctx)
		return err
	}
	token := h.token()
	if err := h.look(tx.QueryRow(h.ctx, huntRow, token, h.id), token); err != nil {
		_ = tx.Rollback(h.ctx)
		return err
	}
	if h.rnd.IntN(8) == 0 {
		return nil
	}
	return tx.Commit(h.ctx)
}

func (h *hunter) rawPanic() (err error) {
	defer func() {
		if r := recover(); r != nil && r != "on purpose" {
			panic(r)
		}
	}()
	conn, err := h.db.Pool().Acquire(h.ctx)
	if err != nil {
		return refusedRaw(err)
	}
	defer conn.Release()
	token := h.token()
	if err := h.lookAtSettings(conn.QueryRow(h.ctx, huntSettings, token), token); err != nil {
		return err
	}
	panic("on purpose")
}

// rawMismatch keeps a connection, and asks as somebody else.
func (h *hunter) rawMismatch() error {
	if h.tenant == "" {
		return h.rawSettings()
	}
	conn, err := h.db.Pool().Acquire(h.ctx)
	if err != nil {
		return refusedRaw(err)
	}
	defer conn.Release()
	other := tenant.NewContext(h.ctx, tenant.Identity{Tenant: "somebody else"})
	var settings, token string
	err = conn.QueryRow(other, huntSettings, "x").Scan(&settings, &token)
	switch {
	case errors.Is(err, fxdb.ErrTenantMismatch):
		return nil
	case err == nil:
		return fmt.Errorf("LEAK: a statement of somebody else ran with %q", settings)
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("no row: %w", err)
	}
	return err
}
