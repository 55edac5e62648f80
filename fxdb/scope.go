package fxdb

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/tenant"
)

// scope is the statement in front of another statement, in the same transaction. The scope
// sets values local to the transaction: tenant, client's name, limits and deadline. The
// zero scope sets nothing.
type scope struct {
	form     *scopeForm
	identity tenant.Identity
	deadline time.Time // of form.timed
}

// scopeForm is the text of a scope, and the values that are the same each time. The
// parameters are the identity, then fixed, then the milliseconds until the deadline.
type scopeForm struct {
	sql    string
	tenant bool // the identity comes first
	fixed  [][]byte
	timed  bool     // the deadline comes last
	guards bool     // texts that would end or change the scope are refused
	ahead  []string // set fixed too, without a snapshot
}

// scopeText has the forms of one client's scopes.
type scopeText struct {
	tenant, tenantTimed *scopeForm
	alone, aloneTimed   *scopeForm    // alone is nil if only a tenant or a deadline needs a scope
	nobody, nobodyTimed *scopeForm    // alone with an empty identity
	statement           time.Duration // the client's statement_timeout; 0: none, or not known
	held                string        // sets limits for a connection that is held; empty: the client has none
	limits              [][]byte
}

// setting is a setting of the server. A scope sends value as a parameter.
type setting struct {
	name, value string
	call        string // the second argument of set_config, a format of the parameter's number; default "$%d"
}

// newScopeText writes a client's scopes. All settings are local to the transaction
// (third argument true) and always parameters. A scope sets all three parts of the
// identity, so no statement inherits a user. statement is the pool's own statement_timeout, or 0 if the pool does not know.
func newScopeText(cfg Config, application, name string, limits ServerTimeouts, statement time.Duration) *scopeText {
	identity := []setting{{name: tenant.TenantSetting}, {name: tenant.UserSetting}, {name: tenant.SessionSetting}}
	var rest []setting
	if name != rootClient && application != "" {
		// The server shows the name for as long as the transaction lasts.
		rest = append(rest, setting{name: "application_name", value: application + "/" + name})
	}
	if cfg.TenantRole != "" { // without a tenant too: policies may not hold the login
		rest = append(rest, setting{name: "role", value: cfg.TenantRole})
	}
	var own []setting
	for i, limit := range []time.Duration{limits.Statement, limits.Lock, limits.IdleInTransaction} {
		if limit != 0 {
			own = append(own, setting{name: fences[i], value: milliseconds(limit)})
			rest = append(rest, own[len(own)-1])
		} else if at := slices.IndexFunc(cfg.fences, func(f setting) bool { return f.name == fences[i] }); at >= 0 {
			rest = append(rest, cfg.fences[at])
		}
	}
	t := &scopeText{statement: max(cmp.Or(limits.Statement, statement), 0)}
	deadline := setting{name: "statement_timeout"}
	if t.statement == 0 && limits.Statement == 0 {
		deadline.call = leastTimeout
	}
	var ahead []string
	for _, s := range rest {
		ahead = append(ahead, setLocal(s))
	}
	guards := cfg.pooled() || limits != (ServerTimeouts{}) || cfg.TenantRole != ""
	form := func(tenant bool, settings []setting, timed bool) *scopeForm {
		f := &scopeForm{tenant: tenant, fixed: fixedValues(settings), timed: timed, guards: tenant || guards, ahead: ahead}
		if tenant {
			settings = slices.Concat(identity, settings)
		}
		if timed {
			settings = append(slices.Clone(settings), deadline)
		}
		f.sql = setConfigs(settings, true)
		return f
	}
	var alone []setting
	switch {
	case cfg.pooled():
		// Another client of the pooler may have left an identity on the session.
		alone = slices.Concat(identity, rest)
	case guards:
		alone = rest
	}
	if len(alone) > 0 {
		t.alone = form(false, alone, false)
	}
	t.aloneTimed = form(false, alone, true)
	nobody := alone
	if !cfg.pooled() {
		nobody = slices.Concat(identity, alone)
	}
	t.nobody, t.nobodyTimed = form(false, nobody, false), form(false, nobody, true)
	t.tenant, t.tenantTimed = form(true, rest, false), form(true, rest, true)
	if len(own) > 0 {
		t.held, t.limits = setConfigs(own, false), fixedValues(own)
	}
	return t
}

func setConfigs(settings []setting, local bool) string {
	calls := make([]string, len(settings))
	for i, s := range settings {
		value := fmt.Sprintf(cmp.Or(s.call, "$%d"), i+1)
		calls[i] = fmt.Sprintf("pg_catalog.set_config('%s', %s, %t)", s.name, value, local)
	}
	return "select " + strings.Join(calls, ", ")
}

func fixedValues(settings []setting) (all [][]byte) {
	for _, s := range settings {
		all = append(all, []byte(s.value))
	}
	return all
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
		return scope{form: text.tenant, identity: id}, nil
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
	return scope{form: text.alone}, nil
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
		return db.scopeForTx(ctx)
	}
	s, err := db.scopeOf(ctx)
	if err != nil {
		return s, err
	}
	return db.refine(ctx, s, func() bool {
		return !slices.ContainsFunc(b.QueuedQueries, func(q *pgx.QueuedQuery) bool { return !db.takesScope(q.SQL, q.Arguments) })
	}), nil
}

// scopeForTx is scopeOf for a transaction. Its statements may have other deadlines than ctx.
func (db *DB) scopeForTx(ctx context.Context) (scope, error) {
	s, err := db.scopeOf(ctx)
	if err == nil && !s.hasTenant() && db.core.tenants.Load() {
		s.form = db.client.scope.Load().nobody
	}
	return s, err
}

// refine gives s the deadline of ctx, if the deadline comes before the client's own limit.
// Once the application has tenants, refine gives a scope without a tenant an empty identity:
// a tenant that a function has left on the session reaches nobody. A zero scope stays zero
// if takes returns false: the statement would not mean the same with a scope.
func (db *DB) refine(ctx context.Context, s scope, takes func() bool) scope {
	text := db.client.scope.Load()
	deadline, timed := ctx.Deadline()
	timed = timed && (text.statement == 0 || time.Until(deadline) < text.statement)
	nobody := !s.hasTenant() && db.core.tenants.Load()
	if !timed && !nobody || s.isZero() && !takes() {
		return s
	}
	switch {
	case !timed:
		s.form = text.nobody
	case s.hasTenant():
		s.form = text.tenantTimed
	case nobody:
		s.form = text.nobodyTimed
	default:
		s.form = text.aloneTimed
	}
	if timed {
		s.deadline = deadline
	}
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

func (s scope) guards() bool { return s.form != nil && s.form.guards }

func (s scope) hasTenant() bool { return s.form != nil && s.form.tenant }

func (s scope) sql() string { return s.form.sql }

func (s scope) key() statementKey { return statementKey{sql: s.form.sql, named: true, scope: true} }

// args are the scope's parameters, as pgx takes them.
func (s scope) args() []any {
	args := make([]any, 0, 8)
	if s.form.tenant {
		args = append(args, s.identity.Tenant, s.identity.User, s.identity.Session)
	}
	for _, v := range s.form.fixed {
		args = append(args, string(v))
	}
	if s.form.timed {
		args = append(args, s.remaining())
	}
	return args
}

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
	first := &pgx.QueuedQuery{SQL: s.sql(), Arguments: s.args()}
	c.QueuedQueries = slices.Insert(slices.Clone(b.QueuedQueries), at, first)
	return &c, at
}

// begins reports whether b began with Batch.BeginTx. Only results show a BeginTx.
func begins(b *pgx.Batch) bool { return pgx.FailedBatchResults(b, nil).Tx() != nil }
