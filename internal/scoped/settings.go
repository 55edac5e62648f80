package scoped

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/agentagency/onepool/tenant"
)

// Options are the settings of one client that do not change with the statement.
type Options struct {
	Application string        // application_name during a transaction; empty: the connection's own
	Role        string        // of every transaction, without a tenant too; empty: the login
	Limits      []Limit       // constants
	Statement   time.Duration // the client's statement_timeout; 0: none, or not known
	Transaction time.Duration // the client's transaction_timeout; 0: none
	Pooled      bool          // another client of a pooler may have left an identity on the session
}

// Limit is a timeout of the server that every scope of a client sets.
type Limit struct {
	Name, Value string
	PerClient   bool // of the client and not of the pool: a connection that the client acquires has the limit too
}

// TraceIDSetting is the setting of fxdb.TraceID.
const TraceIDSetting = "app.trace_id"

// Group is a set of settings that a scope has or lacks together.
type Group uint8

// The groups of settings.
const (
	OfIdentity Group = 1 << iota // without a tenant the identity is empty
	OfClient                     // name, role and limits of the client
	OfPlans                      // plans for the values of the parameters
	OfTrace                      // the trace id
	OfDeadline
	OfTransaction // the longest transaction, from PostgreSQL 17 on
	groupsEnd
)

// Settings is the list of one client's settings, with the templates of the scopes that have been used.
type Settings struct {
	Options
	list      []setting
	alone     Group
	guard     Guard // of the scopes without a tenant
	templates [groupsEnd]atomic.Pointer[template]

	held       string // sets the client's own limits; empty: the client has none
	heldValues [][]byte
}

// setting is an entry in the list: a setting of the server. The text, the parameters and the
// values on the wire of every scope come from the list, in its order.
type setting struct {
	name  string
	group Group  // the scopes with this group set the setting
	value value  // of a scope
	fixed string // the value, if all scopes have the same value
	most  time.Duration
	call  string // the second argument of set_config; default "$%d"
}

// value says which value of a scope a setting has.
type value uint8

const (
	fixed value = iota // setting.fixed
	ofTenant
	ofUser
	ofSession
	ofTraceID
	remaining // time until the deadline
	longest   // time of the transaction, at most setting.most
)

// template is what the scopes with the same groups share: the text and the list of settings.
type template struct {
	groups Group
	sql    string
	list   []setting
	guard  Guard
}

// NewSettings lists a client's settings. All settings of a scope are local to the transaction
// and always parameters. A scope sets all three parts of the identity, so no statement inherits
// a user.
func NewSettings(o Options) *Settings {
	perClient := slices.ContainsFunc(o.Limits, func(l Limit) bool { return l.PerClient })
	t := &Settings{Options: o}
	switch {
	case o.Pooled:
		t.alone = OfIdentity | OfClient
	case perClient || o.Role != "":
		t.alone = OfClient
	}
	switch {
	case o.Role != "":
		t.guard = GuardSettings
	case o.Pooled || perClient:
		t.guard = GuardEnd
	}
	t.list = []setting{
		{name: tenant.TenantSetting, group: OfIdentity, value: ofTenant},
		{name: tenant.UserSetting, group: OfIdentity, value: ofUser},
		{name: tenant.SessionSetting, group: OfIdentity, value: ofSession},
	}
	if o.Application != "" { // the server shows the name for as long as the transaction lasts
		t.list = append(t.list, setting{name: "application_name", group: OfClient, fixed: o.Application})
	}
	if o.Role != "" {
		t.list = append(t.list, setting{name: "role", group: OfClient, fixed: o.Role})
	}
	for _, l := range o.Limits {
		t.list = append(t.list, setting{name: l.Name, group: OfClient, fixed: l.Value})
	}
	t.list = append(t.list,
		setting{name: "plan_cache_mode", group: OfPlans, fixed: "force_custom_plan"},
		setting{name: TraceIDSetting, group: OfTrace, value: ofTraceID},
		t.deadline(),
		setting{name: "transaction_timeout", group: OfTransaction, value: longest, most: t.Transaction},
	)
	if perClient {
		t.listHeld()
	}
	return t
}

// deadline returns the setting that carries the caller's deadline.
func (t *Settings) deadline() setting {
	e := setting{name: "statement_timeout", group: OfDeadline, value: remaining}
	perClient := slices.ContainsFunc(t.Limits, func(l Limit) bool { return l.PerClient && l.Name == e.name })
	if t.Statement == 0 && !perClient {
		e.call = leastTimeout
	}
	return e
}

// Alone returns the groups of a scope without a tenant.
func (t *Settings) Alone() Group { return t.alone }

// Give gives s the settings of the groups, and no settings for no groups.
func (t *Settings) Give(s *Scope, groups Group) {
	if s.template = t.templates[groups].Load(); s.template == nil && groups != 0 {
		s.template = t.newTemplate(groups)
	}
}

// newTemplate lists the settings of the scopes with these groups, for the scopes that follow.
func (t *Settings) newTemplate(groups Group) *template {
	f := &template{groups: groups, guard: t.guard}
	for _, s := range t.list {
		if s.group&groups != 0 {
			f.list = append(f.list, s)
		}
	}
	f.sql = setConfigs(f.list, true)
	t.templates[groups].Store(f)
	return f
}

func (f *template) key() statementKey { return statementKey{sql: f.sql, named: true, scope: true} }

func setConfigs(settings []setting, local bool) string {
	calls := make([]string, len(settings))
	for i, s := range settings {
		value := fmt.Sprintf(cmp.Or(s.call, "$%d"), i+1)
		calls[i] = fmt.Sprintf("pg_catalog.set_config('%s', %s, %t)", s.name, value, local)
	}
	return "select " + strings.Join(calls, ", ")
}

// append appends the setting's value for s.
func (e *setting) append(dst []byte, s *Scope) []byte {
	switch e.value {
	case ofTenant:
		return append(dst, s.Identity.Tenant...)
	case ofUser:
		return append(dst, s.Identity.User...)
	case ofSession:
		return append(dst, s.Identity.Session...)
	case ofTraceID:
		return append(dst, s.TraceID...)
	case remaining:
		return appendRemaining(dst, s.Deadline)
	case longest:
		return appendLongest(dst, e.most, s.End)
	}
	return append(dst, e.fixed...)
}

// values returns the values of s on the wire, in memory of their own.
func (f *template) values(s *Scope) [][]byte {
	values := make([][]byte, len(f.list))
	for i := range f.list {
		values[i] = f.list[i].append([]byte{}, s) // nil would mean NULL
	}
	return values
}

// listHeld lists the client's own limits for Held.
func (t *Settings) listHeld() {
	var f template
	for _, l := range t.Limits {
		if l.PerClient {
			f.list = append(f.list, setting{name: l.Name, fixed: l.Value})
		}
	}
	t.held, t.heldValues = setConfigs(f.list, false), f.values(&Scope{})
}

// Held returns the statement that sets the client's own limits on a connection that the client
// acquires, with the values. The text is empty if the client has no limits.
func (t *Settings) Held() (sql string, values [][]byte) { return t.held, t.heldValues }

// Session sets identity and role for a session, not for a transaction.
type Session struct {
	SQL  string
	Undo string // the text that undoes SQL

	template template
}

// Session returns the statement that sets identity and role for a session.
func (t *Settings) Session() Session {
	var s Session
	for _, e := range t.list {
		if e.group == OfIdentity || e.name == "role" {
			s.template.list = append(s.template.list, e)
			s.Undo += "reset " + quoted(e.name) + "; "
		}
	}
	s.SQL = setConfigs(s.template.list, false)
	return s
}

// Values returns the values of SQL on the wire.
func (s Session) Values(id tenant.Identity) [][]byte { return s.template.values(&Scope{Identity: id}) }
