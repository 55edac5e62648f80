package fxdb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/tenant"
)

// scope is the statement that stands before another, in the same transaction. It
// sets what belongs to that transaction: the tenant, the client's name and limits.
// nil means that there is nothing to set.
type scope struct {
	sql    string
	args   []any
	tenant string // empty: none
}

// scopeText is what a client's scopes have in common.
type scopeText struct {
	tenant string // sets $1, $2, $3 to the identity, then the rest
	alone  string // sets the rest; empty where only a tenant needs a scope
	rest   []any
}

// newScopeText writes a client's scope. All settings are local to the transaction
// (third argument true) and always parameters. All three of the identity are set,
// so that an empty user can't be inherited.
func newScopeText(cfg Config, application, name string, limits ServerTimeouts) *scopeText {
	type setting struct{ name, value string }
	var rest []setting
	if name != rootClient && application != "" {
		// The server shows it for as long as the transaction lasts.
		rest = append(rest, setting{"application_name", application + "/" + name})
	}
	for _, l := range []struct {
		name  string
		value time.Duration
	}{
		{"statement_timeout", limits.Statement},
		{"lock_timeout", limits.Lock},
		{"idle_in_transaction_session_timeout", limits.IdleInTransaction},
	} {
		if l.value != 0 {
			rest = append(rest, setting{l.name, milliseconds(l.value)})
		}
	}
	text := func(settings []setting) string {
		calls := make([]string, len(settings))
		for i, s := range settings {
			calls[i] = fmt.Sprintf("set_config('%s', $%d, true)", s.name, i+1)
		}
		return "select " + strings.Join(calls, ", ")
	}
	t := &scopeText{}
	for _, s := range rest {
		t.rest = append(t.rest, s.value)
	}
	if limits != (ServerTimeouts{}) {
		t.alone = text(rest)
	}
	identity := []setting{{name: tenant.TenantSetting}, {name: tenant.UserSetting}, {name: tenant.SessionSetting}}
	if cfg.TenantRole != "" {
		identity = append(identity, setting{name: "role"})
	}
	t.tenant = text(append(identity, rest...))
	return t
}

// scopeOf reads the identity in ctx. It fails before anything is sent.
func (db *DB) scopeOf(ctx context.Context) (*scope, error) {
	text := db.client.scope.Load()
	id, ok := tenant.FromContext(ctx)
	if !ok {
		reason, system := tenant.SystemReason(ctx)
		if db.client.requireTenant.Load() && !system {
			return nil, ErrTenantRequired
		}
		if system {
			db.core.log.Debug("statement outside any tenant", zap.String("client", db.client.name), zap.String("reason", reason))
		}
		if text.alone == "" {
			return nil, nil
		}
		return &scope{sql: text.alone, args: text.rest}, nil
	}
	if err := id.Validate(); err != nil {
		return nil, err
	}
	args := make([]any, 0, 8)
	args = append(args, id.Tenant, id.User, id.Session)
	if role := db.core.cfg.TenantRole; role != "" {
		args = append(args, role)
	}
	return &scope{sql: text.tenant, args: append(args, text.rest...), tenant: id.Tenant}, nil
}

// ofTenant is the scope's tenant, empty where there is none.
func (s *scope) ofTenant() string {
	if s == nil {
		return ""
	}
	return s.tenant
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

// use is what a connection is taken for.
type use int

const (
	forCall        use = iota // given back before the call returns
	forHolding                // held beyond this call, so that its caller should be known
	forTransaction            // the same, for a transaction
)

// acquire takes a connection on behalf of this client.
func (db *DB) acquire(ctx context.Context, s *scope, u use) (*pgxpool.Conn, error) {
	conn, err := db.core.monitor.Acquire(ctx, lifecycle.Request{
		Client: db.client.name, Tenant: s.ofTenant(), Caller: u != forCall, Transaction: u == forTransaction, Waiting: &db.client.waiting,
	})
	if err != nil {
		return nil, err
	}
	db.client.acquired.Add(1)
	return conn, nil
}
