package fxdb

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/tenant"
)

// scopeOf reads the identity in ctx. scopeOf fails before fxdb sends anything.
func (db *DB) scopeOf(ctx context.Context) (s scoped.Scope, err error) {
	settings := db.client.settings.Load()
	id, ok := tenant.FromContext(ctx)
	if ok {
		if err = id.Validate(); err != nil {
			return s, err
		}
		if !db.core.tenants.Load() {
			db.core.tenants.Store(true)
		}
		s.Identity = id
		settings.Give(&s, scoped.OfIdentity|scoped.OfClient)
		return s, nil
	}
	if reason, system := tenant.SystemReason(ctx); system {
		db.client.system.Add(1)
		if db.client.reasons.isNew(reason) {
			db.core.log.Info("statements outside any tenant from now on", zap.String("client", db.client.name), zap.String("reason", reason))
		}
	} else if db.client.requireTenant.Load() {
		if reason != "" {
			return s, blankReasonError{}
		}
		return s, ErrTenantRequired
	}
	settings.Give(&s, settings.Alone())
	return s, nil
}

// scopeFor returns the scope of one statement, see refine.
func (db *DB) scopeFor(ctx context.Context, sql string, args []any) (s scoped.Scope, err error) {
	if s, err = db.scopeOf(ctx); err == nil {
		db.refine(ctx, &s, true, func() bool { return db.takesScope(sql, args) })
	}
	return s, err
}

// scopeForBatch returns the scope of the statements of b. A batch that begins a transaction
// has no deadline: the transaction may outlive the caller.
func (db *DB) scopeForBatch(ctx context.Context, b *pgx.Batch) (scoped.Scope, error) {
	if begins(b) {
		return db.scopeForTx(ctx, false)
	}
	s, err := db.scopeOf(ctx)
	if err != nil {
		return s, err
	}
	db.refine(ctx, &s, false, func() bool {
		return !slices.ContainsFunc(b.QueuedQueries, func(q *pgx.QueuedQuery) bool { return !db.takesScope(q.SQL, q.Arguments) })
	})
	return s, nil
}

// scopeForTx returns the scope of a transaction. The transaction's statements may have other
// deadlines than ctx. inTx reports whether the transaction ends with ctx.
func (db *DB) scopeForTx(ctx context.Context, inTx bool) (scoped.Scope, error) {
	s, err := db.scopeOf(ctx)
	if err != nil {
		return s, err
	}
	settings := db.client.settings.Load()
	more := db.wants(ctx, &s)
	if db.core.endsTransactions.Load() {
		if inTx {
			s.End, _ = ctx.Deadline()
		}
		if settings.Transaction > 0 || !s.End.IsZero() {
			more |= scoped.OfTransaction
		}
	}
	settings.Give(&s, s.Groups()|more)
	return s, nil
}

// scopeForCopy returns the scope of CopyFrom. A COPY without a scope stays a COPY.
func (db *DB) scopeForCopy(ctx context.Context) (scoped.Scope, error) {
	s, err := db.scopeOf(ctx)
	if err == nil {
		db.refine(ctx, &s, false, func() bool { return false })
	}
	return s, err
}

// wants returns further groups for s, and sets their values: what ctx asks for and, once the
// application has tenants, an empty identity for a scope without a tenant. A tenant that a
// function has left on the session then reaches nobody.
func (db *DB) wants(ctx context.Context, s *scoped.Scope) (more scoped.Group) {
	if wantsCustomPlans(ctx) {
		more |= scoped.OfPlans
	}
	if db.core.traceIDOf != nil {
		s.TraceID = db.core.traceID(ctx)
		if s.TraceID != "" {
			more |= scoped.OfTrace
		}
	}
	if s.Identity.Tenant == "" && db.core.tenants.Load() {
		more |= scoped.OfIdentity
	}
	return more
}

// refine adds the groups of s that depend on the statement: the deadline of ctx, if the
// deadline comes before the client's own limit, and the groups of wants. A zero scope stays
// zero if takes returns false: the statement would not mean the same with a scope. A deadline
// alone is no reason for a scope if cancels is true and the pool can cancel the statement.
func (db *DB) refine(ctx context.Context, s *scoped.Scope, cancels bool, takes func() bool) {
	settings, more := db.client.settings.Load(), db.wants(ctx, s)
	deadline, timed := ctx.Deadline()
	if timed {
		now := time.Now()
		timed = (settings.Statement == 0 || deadline.Sub(now) < settings.Statement) &&
			(!cancels || !s.IsZero() || more != 0 || !db.client.monitor.CancelsStatements(now))
	}
	if timed {
		more |= scoped.OfDeadline
	}
	if more == 0 || s.IsZero() && !takes() {
		return
	}
	if timed {
		s.Deadline = deadline
	}
	settings.Give(s, s.Groups()|more)
}

// takesScope reports whether a statement without a scope means the same with a scope.
// VACUUM and several statements in one text, for example, can't run after a scope.
func (db *DB) takesScope(sql string, args []any) bool {
	if db.core.engine.Mode == pgx.QueryExecModeSimpleProtocol {
		return false
	}
	r := rewritingOf(args)
	if r != asItIs && r != byNames {
		return false
	}
	v := scoped.EffectsOf(sql, r == byNames)
	return v.Plain() && v.Statements == 1 && !v.EndsScope && !v.SetsGuarded && !v.Broken
}

// untimed returns s without the deadline.
func (db *DB) untimed(s scoped.Scope) scoped.Scope {
	s.Deadline = time.Time{}
	db.client.settings.Load().Give(&s, s.Groups()&^scoped.OfDeadline)
	return s
}

// begins reports whether b began with Batch.BeginTx. Only results show a BeginTx.
func begins(b *pgx.Batch) bool { return pgx.FailedBatchResults(b, nil).Tx() != nil }
