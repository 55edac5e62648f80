package fxdb_test

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/fxdb"
)

// What the hunt does to sessions, and to those of database/sql.

// setSession sets an identity that outlives its transaction, or is refused behind a
// pooler, whose sessions are not ours to close.
func (h *hunter) setSession() error {
	err := h.trySetSession()
	if errors.Is(err, fxdb.ErrNeedsSession) {
		return nil
	}
	return err
}

func (h *hunter) trySetSession() error {
	sql := fmt.Sprintf("do $$ begin perform set_config('app.current_tenant', '%s', false); end $$", huntTenants[h.rnd.IntN(len(huntTenants))])
	if h.rnd.IntN(2) == 0 {
		_, err := h.db.Exec(h.ctx, sql)
		return err
	}
	return h.db.InTx(h.ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		_, err := tx.Exec(h.ctx, sql)
		return err
	})
}

// leave leaves what the next user of the session must not find, where there is not
// another's.
func (h *hunter) leave() error {
	err := h.db.InTx(h.ctx, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if err := h.lookAtSession(tx); err != nil {
			return err
		}
		_, err := tx.Exec(h.ctx, []string{
			"create temp table mine as select * from notes.notes",
			"declare mine cursor with hold for select * from notes.notes",
			"do $$ begin set role onepool_app; end $$",
		}[h.rnd.IntN(3)])
		return err
	})
	if errors.Is(err, fxdb.ErrNeedsSession) {
		return nil
	}
	return err
}

// lookAtSession looks for what another has left.
func (h *hunter) lookAtSession(a asker) error {
	var session, user, login string
	if err := a.QueryRow(h.ctx, "select "+huntSession+", current_user, session_user").Scan(&session, &user, &login); err != nil {
		return err
	}
	h.rows.Add(1)
	role := "none"
	if user != login { // DB_TENANT_ROLE
		role = "onepool_app"
	}
	if session != "0 0 "+role || user != "onepool_app" {
		return fmt.Errorf("LEAK: temporary relations, cursors and role %q as %s", session, user)
	}
	return nil
}

// rowBySQL is row and setting by database/sql.
func (h *hunter) rowBySQL() error {
	token := h.token()
	if h.rnd.IntN(2) == 0 {
		return h.lookAtSettings(h.door.QueryRowContext(h.ctx, huntSettings, token), token)
	}
	return h.notNobody(h.look(h.door.QueryRowContext(h.ctx, huntRow, token, h.id), token))
}

func (h *hunter) txBySQL() error {
	tx, err := h.door.BeginTx(h.ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	done, err := tx.ExecContext(h.ctx, huntUpdate, h.body(h.token()), h.id)
	if err != nil {
		return err
	}
	n, err := done.RowsAffected()
	if err := h.counted(int(n), 1, err); err != nil {
		return err
	}
	token := h.token()
	if err := h.notNobody(h.look(tx.QueryRowContext(h.ctx, huntRow, token, h.id), token)); err != nil {
		return err
	}
	return tx.Commit()
}
