package fxdb

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/agentagency/onepool/tenant"
)

// setting is an entry in the list of a client's scope: a setting of the server. The text, the
// parameters and the values on the wire of every scope come from the list, in its order.
type setting struct {
	name  string
	group group                            // the scopes with this group set the setting
	fixed string                           // the value, if all scopes have the same value
	value func(dst []byte, s scope) []byte // if not nil, appends the value of one scope
	call  string                           // the second argument of set_config; default "$%d"
	held  bool                             // a connection of Acquire has the setting too
}

// group is a set of settings that a scope has or lacks together.
type group uint8

const (
	ofIdentity group = 1 << iota // without a tenant the identity is empty
	ofClient                     // name, role and limits of the client
	ofPlans                      // see CustomPlans
	ofTrace                      // see TraceID
	ofDeadline
	ofTransaction // from PostgreSQL 17 on
	groupsEnd
)

// scopeText is the list of one client's settings, with the forms that statements have used.
type scopeText struct {
	list      []setting
	alone     group         // of a scope without a tenant
	guards    bool          // every scope refuses a text that would end or change the scope
	statement time.Duration // the client's statement_timeout; 0: none, or not known
	longest   time.Duration // the client's transaction_timeout; 0: none
	held      string        // sets limits for a connection that is held; empty: the client has none
	limits    [][]byte      // parameters of held
	forms     [groupsEnd]atomic.Pointer[scopeForm]
}

// scopeForm is the list of the scopes that have the same groups.
type scopeForm struct {
	groups group
	sql    string
	list   []setting
	guards bool
}

// newScopeText lists a client's settings. All settings of a scope are local to the transaction
// and always parameters. A scope sets all three parts of the identity, so no statement inherits
// a user. statement is the pool's own statement_timeout, or 0 if the pool does not know.
func newScopeText(cfg Config, application, name string, limits ServerTimeouts, statement time.Duration) *scopeText {
	t := &scopeText{
		statement: max(cmp.Or(limits.Statement, statement), 0),
		longest:   max(cmp.Or(limits.Transaction, cfg.TransactionTimeout), 0),
	}
	limits.Transaction = 0 // no limit of a statement
	t.guards = cfg.pooled() || limits != (ServerTimeouts{}) || cfg.TenantRole != ""
	switch {
	case cfg.pooled():
		// Another client of the pooler may have left an identity on the session.
		t.alone = ofIdentity | ofClient
	case t.guards:
		t.alone = ofClient
	}
	t.list = []setting{
		{name: tenant.TenantSetting, group: ofIdentity, value: func(dst []byte, s scope) []byte {
			return append(dst, s.identity.Tenant...)
		}},
		{name: tenant.UserSetting, group: ofIdentity, value: func(dst []byte, s scope) []byte {
			return append(dst, s.identity.User...)
		}},
		{name: tenant.SessionSetting, group: ofIdentity, value: func(dst []byte, s scope) []byte {
			return append(dst, s.identity.Session...)
		}},
	}
	if name != rootClient && application != "" {
		// The server shows the name for as long as the transaction lasts.
		t.list = append(t.list, setting{name: "application_name", group: ofClient, fixed: application + "/" + name})
	}
	if cfg.TenantRole != "" { // without a tenant too: policies may not hold the login
		t.list = append(t.list, setting{name: "role", group: ofClient, fixed: cfg.TenantRole})
	}
	t.list = append(t.list, limitSettings(cfg, limits)...)
	t.list = append(t.list, setting{name: "plan_cache_mode", group: ofPlans, fixed: "force_custom_plan"})
	t.list = append(t.list, setting{name: TraceIDSetting, group: ofTrace, value: func(dst []byte, s scope) []byte {
		return append(dst, s.traceID...)
	}})
	deadline := setting{name: "statement_timeout", group: ofDeadline, value: appendRemaining}
	if t.statement == 0 && limits.Statement == 0 {
		deadline.call = leastTimeout
	}
	t.list = append(t.list, deadline, setting{name: "transaction_timeout", group: ofTransaction, value: t.appendLongest})
	if own := slices.DeleteFunc(slices.Clone(t.list), func(s setting) bool { return !s.held }); len(own) > 0 {
		t.held = setConfigs(own, false)
		for _, s := range own {
			t.limits = append(t.limits, []byte(s.fixed))
		}
	}
	return t
}

// limitSettings are the client's own limits, and behind a pooler the pool's.
func limitSettings(cfg Config, limits ServerTimeouts) (all []setting) {
	for i, limit := range []time.Duration{limits.Statement, limits.Lock, limits.IdleInTransaction} {
		if limit != 0 {
			all = append(all, setting{name: fences[i], group: ofClient, fixed: milliseconds(limit), held: true})
		} else if at := slices.IndexFunc(cfg.fences, func(p param) bool { return p.name == fences[i] }); at >= 0 {
			all = append(all, setting{name: fences[i], group: ofClient, fixed: cfg.fences[at].value})
		}
	}
	return all
}

// form returns the form of the scopes with these groups, and nil for no groups.
func (t *scopeText) form(groups group) *scopeForm {
	if groups == 0 {
		return nil
	}
	if f := t.forms[groups].Load(); f != nil {
		return f
	}
	f := &scopeForm{groups: groups, guards: t.guards}
	for _, s := range t.list {
		if s.group&groups != 0 {
			f.list = append(f.list, s)
		}
	}
	f.sql = setConfigs(f.list, true)
	t.forms[groups].Store(f)
	return f
}

func (f *scopeForm) key() statementKey { return statementKey{sql: f.sql, named: true, scope: true} }

func setConfigs(settings []setting, local bool) string {
	calls := make([]string, len(settings))
	for i, s := range settings {
		value := fmt.Sprintf(cmp.Or(s.call, "$%d"), i+1)
		calls[i] = fmt.Sprintf("pg_catalog.set_config('%s', %s, %t)", s.name, value, local)
	}
	return "select " + strings.Join(calls, ", ")
}

// append appends the setting's value for s.
func (e setting) append(dst []byte, s scope) []byte {
	if e.value != nil {
		return e.value(dst, s)
	}
	return append(dst, e.fixed...)
}

// ahead are statements that set the constants of the list without a snapshot.
func (f *scopeForm) ahead() (all []string) {
	for _, s := range f.list {
		if s.value == nil {
			all = append(all, setLocal(s.name, s.fixed))
		}
	}
	return all
}

// args are the scope's parameters, as pgx takes parameters.
func (s scope) args() []any {
	args := make([]any, len(s.form.list))
	for i, e := range s.form.list {
		args[i] = string(e.append(nil, s))
	}
	return args
}

// scopeValues are the scope's parameters on the wire. The next call overwrites the values.
func (st *statements) scopeValues(s scope) [][]byte {
	if st.text == nil { // an empty value must not be nil, which means NULL
		st.text = make([]byte, 0, 64)
	}
	st.text, st.values = st.text[:0], st.values[:0]
	for _, e := range s.form.list {
		from := len(st.text)
		st.text = e.append(st.text, s)
		st.values = append(st.values, st.text[from:len(st.text):len(st.text)])
	}
	return st.values
}
