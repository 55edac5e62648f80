package scoped

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/agentagency/onepool/tenant"
)

// Scope is the statement before another statement, in the same transaction. The scope
// sets values local to the transaction: see [NewSettings]. The zero Scope sets nothing.
// [Settings.Give] gives a Scope its settings.
type Scope struct {
	Identity tenant.Identity
	TraceID  string
	Deadline time.Time // of the caller
	End      time.Time // the deadline of InTx

	template *template
}

// IsZero reports whether the scope sets nothing.
func (s *Scope) IsZero() bool { return s.template == nil }

// HasTenant reports whether the scope sets a tenant.
func (s *Scope) HasTenant() bool { return s.Identity.Tenant != "" }

// Guard returns the guard of the texts that run after the scope.
func (s *Scope) Guard() Guard {
	switch {
	case s.template == nil:
		return NoGuard
	case s.HasTenant():
		return GuardSettings
	}
	return s.template.guard
}

// Groups returns the groups of settings that the scope has.
func (s *Scope) Groups() Group {
	if s.template == nil {
		return 0
	}
	return s.template.groups
}

// SQL returns the text of the scope, with parameters. The scope must not be zero.
func (s *Scope) SQL() string { return s.template.sql }

// Args returns the scope's parameters, as pgx takes parameters.
func (s *Scope) Args() []any {
	args := make([]any, len(s.template.list))
	for i := range s.template.list {
		args[i] = string(s.template.list[i].append(nil, s))
	}
	return args
}

// AddTo adds the scope to a batch, as a text.
func (s *Scope) AddTo(b *pgconn.Batch) {
	b.ExecParams(s.template.sql, s.template.values(s), nil, nil, nil)
}

// IsConstant reports whether no value of the scope comes from a caller. The server takes values
// without a snapshot only in the text of SET LOCAL, and a caller's value travels as a parameter:
// pg_stat_activity and pg_stat_statements show texts.
func (s *Scope) IsConstant() bool {
	return s.Identity == (tenant.Identity{}) && s.TraceID == "" && s.End.IsZero() && s.Groups()&OfDeadline == 0
}

// Ahead returns statements that set the constants of the scope without a snapshot.
func (s *Scope) Ahead() (all []string) {
	constant := s.IsConstant()
	for i := range s.template.list {
		if e := &s.template.list[i]; constant || e.value == fixed {
			all = append(all, setLocal(e.name, string(e.append(nil, s))))
		}
	}
	return all
}

// AddAfterBegin adds the scope to a batch whose transaction has just begun, without a snapshot
// if the scope is constant.
func (s *Scope) AddAfterBegin(b *pgconn.Batch) {
	if !s.IsConstant() {
		s.AddTo(b)
		return
	}
	for _, sql := range s.Ahead() {
		b.ExecParams(sql, nil, nil, nil, nil)
	}
}

// setLocal returns a SET LOCAL statement, which needs no snapshot. The value comes from
// the configuration, never from an identity.
func setLocal(name, value string) string {
	value = "'" + strings.ReplaceAll(value, "'", "''") + "'"
	if strings.Contains(value, `\`) { // E'' reads a backslash alike under every standard_conforming_strings
		value = " E" + strings.ReplaceAll(value, `\`, `\\`)
	}
	return "set local " + quoted(name) + " = " + value
}

// quoted returns the name of a setting for a text. Part of a name may be a keyword: app.current_user.
func quoted(name string) string { return pgx.Identifier(strings.Split(name, ".")).Sanitize() }
