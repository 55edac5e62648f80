package fxdb

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/tenant"
)

// scope is the statement in front of another statement, in the same transaction. The scope
// sets values local to the transaction: see newScopeText. The zero scope sets nothing.
type scope struct {
	form     *scopeForm
	identity tenant.Identity
	traceID  string
	deadline time.Time
	end      time.Time // the deadline of InTx
}

// reasons are the reasons for statements outside any tenant that onepool has logged for a
// client.
type reasons struct {
	known sync.Map // of string
	n     atomic.Int64
}

// maxReasons bounds the reasons of a client that onepool remembers and logs. A client may
// give a new reason with each statement.
const maxReasons = 100

func (r *reasons) isNew(reason string) bool {
	if _, ok := r.known.Load(reason); ok || r.n.Load() >= maxReasons {
		return false
	}
	if _, ok := r.known.LoadOrStore(reason, nil); ok {
		return false
	}
	r.n.Add(1)
	return true
}

// scopeOf reads the identity in ctx. scopeOf fails before fxdb sends anything.
func (db *DB) scopeOf(ctx context.Context) (scope, error) {
	text := db.client.scope.Load()
	id, ok := tenant.FromContext(ctx)
	if ok {
		if err := id.Validate(); err != nil {
			return scope{}, err
		}
		if !db.core.tenants.Load() {
			db.core.tenants.Store(true)
		}
		return scope{form: text.form(ofIdentity | ofClient), identity: id}, nil
	}
	if reason, system := tenant.SystemReason(ctx); system {
		db.client.system.Add(1)
		if db.client.reasons.isNew(reason) {
			db.core.log.Info("statements outside any tenant from now on", zap.String("client", db.client.name), zap.String("reason", reason))
		}
	} else if db.client.requireTenant.Load() {
		if reason != "" {
			return scope{}, blankReasonError{}
		}
		return scope{}, ErrTenantRequired
	}
	return scope{form: text.form(text.alone)}, nil
}

// scopeFor is scopeOf for one statement, see refine.
func (db *DB) scopeFor(ctx context.Context, sql string, args []any) (scope, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return s, err
	}
	return db.refine(ctx, s, func() bool { return db.takesScope(sql, args) }), nil
}

// scopeForBatch is scopeFor for the statements of b. A batch that begins a transaction
// has no deadline: the transaction may outlive the caller.
func (db *DB) scopeForBatch(ctx context.Context, b *pgx.Batch) (scope, error) {
	if begins(b) {
		return db.scopeForTx(ctx, false)
	}
	s, err := db.scopeOf(ctx)
	if err != nil {
		return s, err
	}
	return db.refine(ctx, s, func() bool {
		return !slices.ContainsFunc(b.QueuedQueries, func(q *pgx.QueuedQuery) bool { return !db.takesScope(q.SQL, q.Arguments) })
	}), nil
}

// scopeForTx is scopeOf for a transaction. The transaction's statements may have other
// deadlines than ctx. inTx reports whether the transaction ends with ctx.
func (db *DB) scopeForTx(ctx context.Context, inTx bool) (scope, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return s, err
	}
	text := db.client.scope.Load()
	more := db.wants(ctx, &s)
	if db.core.endsTransactions.Load() {
		if inTx {
			s.end, _ = ctx.Deadline()
		}
		if text.longest > 0 || !s.end.IsZero() {
			more |= ofTransaction
		}
	}
	s.form = text.form(s.groups() | more)
	return s, nil
}

// scopeForCopy is scopeFor for CopyFrom. A COPY without a scope stays a COPY.
func (db *DB) scopeForCopy(ctx context.Context) (scope, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return s, err
	}
	return db.refine(ctx, s, func() bool { return false }), nil
}

// wants returns further groups for s, and sets their values: what ctx asks for and, once the
// application has tenants, an empty identity for a scope without a tenant. A tenant that a
// function has left on the session then reaches nobody.
func (db *DB) wants(ctx context.Context, s *scope) (more group) {
	if wantsCustomPlans(ctx) {
		more |= ofPlans
	}
	if s.traceID = db.core.traceID(ctx); s.traceID != "" {
		more |= ofTrace
	}
	if !s.hasTenant() && db.core.tenants.Load() {
		more |= ofIdentity
	}
	return more
}

// refine adds the groups of s that depend on the statement: the deadline of ctx, if the
// deadline comes before the client's own limit, and the groups of wants. A zero scope stays
// zero if takes returns false: the statement would not mean the same with a scope.
func (db *DB) refine(ctx context.Context, s scope, takes func() bool) scope {
	text, more := db.client.scope.Load(), db.wants(ctx, &s)
	deadline, timed := ctx.Deadline()
	if timed = timed && (text.statement == 0 || time.Until(deadline) < text.statement); timed {
		more |= ofDeadline
	}
	if more == 0 || s.isZero() && !takes() {
		return s
	}
	if timed {
		s.deadline = deadline
	}
	s.form = text.form(s.groups() | more)
	return s
}

// takesScope reports whether a statement without a scope means the same with a scope.
// VACUUM and several statements in one text, for example, can't run behind a scope.
func (db *DB) takesScope(sql string, args []any) bool {
	if db.core.mode == pgx.QueryExecModeSimpleProtocol {
		return false
	}
	r := rewritingOf(args)
	if r != asItIs && r != byNames {
		return false
	}
	v := verdictOf(sql, r == byNames)
	return v.Plain() && v.Statements == 1 && !v.EndsScope && !v.LocalGuard && !v.Broken
}

func (s scope) isZero() bool { return s.form == nil }

func (s scope) hasTenant() bool { return s.identity.Tenant != "" }

// guards reports whether a text that would end or change the scope is refused.
func (s scope) guards() bool { return s.form != nil && (s.form.guards || s.hasTenant()) }

// untimed is s without the deadline.
func (db *DB) untimed(s scope) scope {
	s.form, s.deadline = db.client.scope.Load().form(s.groups()&^ofDeadline), time.Time{}
	return s
}

func (s scope) groups() group {
	if s.form == nil {
		return 0
	}
	return s.form.groups
}

func (s scope) key() statementKey { return s.form.key() }

// before returns a copy of b with the scope in front of the first statement: after the
// BEGIN of Batch.BeginTx, which must come first, and SET TRANSACTION. at is the place of
// the scope's result among the results of b.
func (s scope) before(b *pgx.Batch) (scoped *pgx.Batch, at int) {
	c := *b
	if begins(b) {
		at = 1
		for at < b.Len() && setsTransaction(b.QueuedQueries[at]) { // the scope is a query
			at++
		}
	}
	first := &pgx.QueuedQuery{SQL: s.form.sql, Arguments: s.args()}
	c.QueuedQueries = slices.Insert(slices.Clone(b.QueuedQueries), at, first)
	return &c, at
}

// begins reports whether b began with Batch.BeginTx. Only results show a BeginTx.
func begins(b *pgx.Batch) bool { return pgx.FailedBatchResults(b, nil).Tx() != nil }
