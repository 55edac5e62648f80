package fxdb

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/internal/sqldoor"
)

// Session returns a connection of the client for package fxdbsql. Session takes no connection
// yet. Programs use fxdbsql.Open.
func (db *DB) Session(sqldoor.Key) sqldoor.Session { return &session{db: db} }

// session holds one connection of a client over several statements. session retries only
// the first use on a new connection: a later use may depend on the session state of an
// earlier use. Behind a pooler session refuses later uses, because a pooler keeps no
// session state.
type session struct {
	db     *DB
	handle *pgxpool.Conn
	conn   *pgx.Conn // of handle
	texts  int       // sent on conn
}

func (s *session) take(ctx context.Context, sc scoped.Scope, p purpose, within time.Duration) (err error) {
	if s.handle, err = s.db.acquire(ctx, sc.Identity.Tenant, p, within); err != nil {
		return err
	}
	s.conn = s.handle.Conn()
	return nil
}

// do runs send with the session's connection.
// sql is empty if send sends no statement of the caller.
func (s *session) do(ctx context.Context, sc scoped.Scope, p purpose, sql string, idempotent bool, send func() error) error {
	first := s.conn == nil
	if !first && s.db.core.cfg.pooled() {
		return fmt.Errorf("a *sql.Conn is used once only: %w", ErrNeedsSession)
	}
	attempt := func(within time.Duration) (retry bool, err error) {
		if s.conn == nil {
			if err := s.take(ctx, sc, p, within); err != nil {
				return false, err
			}
		}
		if !sc.IsZero() && s.conn.PgConn().TxStatus() != 'I' && !s.conn.IsClosed() {
			return false, errBegunByText
		}
		if sql != "" {
			s.texts++
		}
		if err = send(); err != nil && first && (mayResend(ctx, s.conn, err, idempotent) || s.db.standbyRefused(ctx, s.conn, err, sql)) {
			s.Release()
			return true, err
		}
		return false, err
	}
	retry, err := attempt(0)
	if retry {
		return s.db.resend(ctx, err, attempt)
	}
	return err
}

var errBegunByText = fmt.Errorf("a transaction begun by the text BEGIN can't carry a tenant or limits: use BeginTx: %w", ErrTenantNotCarried)

// endBegunByText rolls back a transaction that the text BEGIN left open, because the
// transaction carries the tenant. If the rollback fails, endBegunByText closes the
// connection.
func endBegunByText(ctx context.Context, conn *pgx.Conn) error {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return nil
	}
	ctx, cancel := scoped.RollbackContext(ctx)
	defer cancel()
	if _, err := conn.Exec(ctx, "rollback"); err != nil {
		_ = conn.Close(ctx) // the error below is the reason
		return fmt.Errorf("%w (and the rollback failed: %w)", errBegunByText, err)
	}
	return errBegunByText
}

func (s *session) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	args = watch(args, nil)
	sc, err := s.db.scopeFor(ctx, sql, args)
	if err != nil {
		return tag, err
	}
	err = s.do(ctx, sc, forCall, sql, isIdempotent(ctx), func() (err error) {
		tag, err = s.db.execOn(ctx, s.conn, &sc, false, sql, args)
		if err == nil && !sc.IsZero() {
			err = endBegunByText(ctx, s.conn)
		}
		return err
	})
	return tag, err
}

func (s *session) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	args = watch(args, nil)
	sc, err := s.db.scopeFor(ctx, sql, args)
	if err != nil {
		return nil, err
	}
	var r *scoped.Rows
	err = s.do(ctx, sc, forHolding, sql, isIdempotent(ctx), func() (err error) {
		r = &scoped.Rows{Ended: endBegunByText}
		sc, err := s.db.scopeOn(ctx, s.conn, &sc, sql, args)
		if err != nil {
			return err
		}
		if sc.IsZero() {
			r.Bare = s.conn
		}
		r.Rows, err = s.db.queryOn(ctx, s.conn, sc, &r.Flight, sql, args)
		if err != nil {
			return err
		}
		return r.ReadAhead()
	})
	if err != nil {
		err, _ = scoped.RanWith(err)
		return nil, err
	}
	return r, nil
}

func (s *session) BeginTx(ctx context.Context, opts pgx.TxOptions) (pgx.Tx, error) {
	sc, err := s.db.scopeForTx(ctx, false)
	if err != nil {
		return nil, err
	}
	var tx pgx.Tx
	err = s.do(ctx, sc, forTransaction, "", true, func() (err error) {
		tx, err = s.db.begin(ctx, s.conn, sc, opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.db.newBegun(nil, sc, tx, opts), nil
}

// Ping sends an empty statement, and needs no tenant.
func (s *session) Ping(ctx context.Context) error {
	return s.do(ctx, scoped.Scope{}, forCall, "", true, func() error { return s.conn.Ping(ctx) })
}

func (s *session) Release() {
	if s.handle != nil {
		if s.texts == 1 { // of a *sql.DB, or of a *sql.Conn that was closed after one statement
			s.db.warnOfLeftover(s.conn)
		}
		s.handle.Release()
		s.handle, s.conn, s.texts = nil, nil, 0
	}
}
