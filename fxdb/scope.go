package fxdb

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/tenant"
)

// scope is the statement that stands before a tenant's own, in the same
// transaction. nil means that there is no tenant.
type scope struct {
	sql  string
	args []any
	id   tenant.Identity
}

// The settings are local to the transaction (third argument true) and always
// parameters. All three are set, so that an empty user can't be inherited.
const (
	scopeSQL = "select set_config('" + tenant.TenantSetting + "', $1, true), set_config('" +
		tenant.UserSetting + "', $2, true), set_config('" + tenant.SessionSetting + "', $3, true)"
	scopeRoleSQL = scopeSQL + ", set_config('role', $4, true)"
)

// scopeOf reads the identity in ctx. It fails before anything is sent.
func (db *DB) scopeOf(ctx context.Context) (*scope, error) {
	id, ok := tenant.FromContext(ctx)
	if !ok {
		reason, system := tenant.SystemReason(ctx)
		if db.client.requireTenant.Load() && !system {
			return nil, ErrTenantRequired
		}
		if system {
			db.core.log.Debug("statement outside any tenant", zap.String("client", db.client.name), zap.String("reason", reason))
		}
		return nil, nil
	}
	if err := id.Validate(); err != nil {
		return nil, err
	}
	s := &scope{sql: scopeSQL, args: []any{id.Tenant, id.User, id.Session}, id: id}
	if role := db.core.cfg.TenantRole; role != "" {
		s.sql, s.args = scopeRoleSQL, append(s.args, role)
	}
	return s, nil
}

func (s *scope) tenant() string {
	if s == nil {
		return ""
	}
	return s.id.Tenant
}

// before returns a copy of b with the scope in front of its first statement:
// after the BEGIN of Batch.BeginTx, which must come first. at is the place of
// the scope's result among b's.
func (s *scope) before(b *pgx.Batch) (scoped *pgx.Batch, at int) {
	c := *b
	// Whether b began with Batch.BeginTx shows only in results.
	if pgx.FailedBatchResults(b, nil).Tx() != nil {
		at = 1
	}
	first := &pgx.QueuedQuery{SQL: s.sql, Arguments: s.args}
	c.QueuedQueries = slices.Insert(slices.Clone(b.QueuedQueries), at, first)
	return &c, at
}

// statement is a batch of the scope and one statement: without a BEGIN the
// server runs a batch as one implicit transaction, committed at its end
// (PostgreSQL's documentation, 55.2.4 "Pipelining").
func (s *scope) statement(sql string, args []any) *pgx.Batch {
	b := &pgx.Batch{}
	b.Queue(s.sql, s.args...)
	b.Queue(sql, args...)
	return b
}

// refuseUnscoped fails acquires from the pool itself when the context has an
// identity: what would be sent on that connection carried none.
func refuseUnscoped(ctx context.Context) error {
	if _, ok := tenant.FromContext(ctx); ok {
		return ErrUnscoped
	}
	return nil
}

// acquire takes a connection on behalf of this client. held says that it is held
// beyond this call, so that its caller should be known.
func (db *DB) acquire(ctx context.Context, s *scope, held bool) (*pgxpool.Conn, error) {
	conn, err := db.core.monitor.Acquire(ctx, lifecycle.Request{
		Client: db.client.name, Tenant: s.tenant(), Caller: held, Waiting: &db.client.waiting,
	})
	if err != nil {
		return nil, err
	}
	db.client.acquired.Add(1)
	return conn, nil
}
