package fxdb

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/agentagency/onepool/lifecycle"
	"github.com/agentagency/onepool/tenant"
)

// scope is the statement that stands before another, in the same transaction. It
// sets what belongs to that transaction: the tenant, the client's name and limits.
// The zero scope has nothing to set.
type scope struct {
	text     *scopeText
	identity tenant.Identity
	tenant   bool // there is an identity
}

// scopeText is what a client's scopes have in common.
type scopeText struct {
	tenant string // sets $1, $2, $3 to the identity, then behind
	behind [][]byte
	alone  string // sets rest; empty where only a tenant needs a scope
	rest   [][]byte
	ahead  []string // set rest too, without a snapshot
	held   string   // sets limits for a connection that is held; empty: the client has none
	limits [][]byte
}

// setting is one that a scope sets to a constant.
type setting struct{ name, value string }

// newScopeText writes a client's scope. All settings are local to the transaction
// (third argument true) and always parameters. All three of the identity are set,
// so that an empty user can't be inherited.
func newScopeText(cfg Config, application, name string, limits ServerTimeouts) *scopeText {
	identity := []setting{{name: tenant.TenantSetting}, {name: tenant.UserSetting}, {name: tenant.SessionSetting}}
	var rest []setting
	if name != rootClient && application != "" {
		// The server shows it for as long as the transaction lasts.
		rest = append(rest, setting{"application_name", application + "/" + name})
	}
	if cfg.TenantRole != "" { // without a tenant too: the login may be one that no policy holds
		rest = append(rest, setting{"role", cfg.TenantRole})
	}
	var own []setting
	for i, limit := range []time.Duration{limits.Statement, limits.Lock, limits.IdleInTransaction} {
		if limit != 0 {
			own = append(own, setting{fences[i], milliseconds(limit)})
			rest = append(rest, setting{fences[i], milliseconds(limit)})
		} else if at := slices.IndexFunc(cfg.fences, func(f setting) bool { return f.name == fences[i] }); at >= 0 {
			rest = append(rest, cfg.fences[at])
		}
	}
	text := func(settings []setting, local bool) string {
		calls := make([]string, len(settings))
		for i, s := range settings {
			calls[i] = fmt.Sprintf("pg_catalog.set_config('%s', $%d, %t)", s.name, i+1, local)
		}
		return "select " + strings.Join(calls, ", ")
	}
	values := func(settings []setting) (all [][]byte) {
		for _, s := range settings {
			all = append(all, []byte(s.value))
		}
		return all
	}
	t := &scopeText{}
	for _, s := range rest {
		t.ahead = append(t.ahead, setLocal(s))
	}
	switch {
	case cfg.pooled():
		// The session is not ours: whoever had it may have left an identity there.
		alone := slices.Concat(identity, rest)
		t.alone, t.rest = text(alone, true), values(alone)
	case limits != (ServerTimeouts{}) || cfg.TenantRole != "":
		t.alone, t.rest = text(rest, true), values(rest)
	}
	all := slices.Concat(identity, rest)
	t.tenant, t.behind = text(all, true), values(all[3:])
	if len(own) > 0 {
		t.held, t.limits = text(own, false), values(own)
	}
	return t
}

// reasons are those that a client has given for statements outside any tenant, and
// that were logged.
type reasons struct {
	known sync.Map // of string
	n     atomic.Int64
}

// maxReasons bounds what a client can make us remember, and log, by reasons that are
// each another.
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

// scopeOf reads the identity in ctx. It fails before anything is sent.
func (db *DB) scopeOf(ctx context.Context) (scope, error) {
	text := db.client.scope.Load()
	id, ok := tenant.FromContext(ctx)
	if ok {
		if err := id.Validate(); err != nil {
			return scope{}, err
		}
		return scope{text: text, identity: id, tenant: true}, nil
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
	if text.alone == "" {
		return scope{}, nil
	}
	return scope{text: text}, nil
}

func (s scope) isZero() bool { return s.text == nil }

func (s scope) sql() string {
	if s.tenant {
		return s.text.tenant
	}
	return s.text.alone
}

func (s scope) key() statementKey { return statementKey{sql: s.sql(), named: true, scope: true} }

// args are the scope's parameters, as pgx takes them.
func (s scope) args() []any {
	args := make([]any, 0, 8)
	if s.tenant {
		args = append(args, s.identity.Tenant, s.identity.User, s.identity.Session)
	}
	for _, v := range s.text.values(s.tenant) {
		args = append(args, string(v))
	}
	return args
}

// values are the parameters that do not depend on the identity.
func (t *scopeText) values(tenant bool) [][]byte {
	if tenant {
		return t.behind
	}
	return t.rest
}

// before returns a copy of b with the scope in front of its first statement:
// after the BEGIN of Batch.BeginTx, which must come first, and SET TRANSACTION. at is
// the place of the scope's result among b's.
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

// begins reports whether b began with Batch.BeginTx, which shows only in results.
func begins(b *pgx.Batch) bool { return pgx.FailedBatchResults(b, nil).Tx() != nil }

// refuseUnscoped fails acquires from the pool itself when the context has an
// identity: what would be sent on that connection carried none.
func refuseUnscoped(ctx context.Context) error {
	if _, ok := tenant.FromContext(ctx); ok {
		return ErrTenantNotCarried
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

// acquire takes a connection on behalf of this client, within the acquire timeout
// or, where it is not zero, within a shorter time.
func (db *DB) acquire(ctx context.Context, s scope, u use, within time.Duration) (*pgxpool.Conn, error) {
	return db.acquireFor(ctx, s, u, within, 1)
}

// acquireFor leaves skip frames out of the call site.
func (db *DB) acquireFor(ctx context.Context, s scope, u use, within time.Duration, skip int) (*pgxpool.Conn, error) {
	if err := db.client.misuse.Load(); err != nil {
		return nil, *err
	}
	conn, err := db.client.monitor.Acquire(ctx, lifecycle.Request{
		Client: db.client.name, Tenant: s.identity.Tenant, Caller: u != forCall, Transaction: u == forTransaction,
		Waiting: &db.client.waiting, Spoiled: &db.client.tainted, Timeout: within, CallerSkip: skip, Share: db.client.share,
	})
	if err != nil {
		return nil, err
	}
	db.client.acquired.Add(1)
	return conn, nil
}
