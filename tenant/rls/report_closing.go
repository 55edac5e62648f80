package rls

import (
	"fmt"
	"strings"
)

// UnjudgedTable is a table that the role reads or writes and that no rule of [Verify] judged.
type UnjudgedTable struct {
	Table  string `json:"table"` // schema.table, unquoted
	Reads  bool   `json:"reads"`
	Writes bool   `json:"writes"`
}

// String is the table and the role's access.
func (u UnjudgedTable) String() string {
	switch {
	case u.Reads && u.Writes:
		return u.Table + " (read, write)"
	case u.Writes:
		return u.Table + " (write)"
	}
	return u.Table + " (read)"
}

func (r Report) writeClosing(b *strings.Builder) {
	if len(r.NotJudged) > 0 {
		b.WriteString("not judged, because no column, policy or foreign key identifies the tenant:\n")
		for _, u := range r.NotJudged {
			fmt.Fprintf(b, "        %s\n", u)
		}
	}
	for _, advice := range r.Advice {
		fmt.Fprintf(b, "advice: %s\n", advice)
	}
}

func (v *verifier) notJudged() (out []UnjudgedTable) {
	for _, t := range v.tables {
		if t.scoped || t.refersTo != nil || !t.reachable() || v.found(t.object(), "policies-off") || t.recordsMigrations() {
			continue
		}
		out = append(out, UnjudgedTable{t.object(), t.CanSelect, t.writable()})
	}
	return out
}

// advice is about the rights that PostgreSQL grants to PUBLIC.
func (v *verifier) advice() (out []string) {
	s := v.session
	if s.bypasses() {
		return nil
	}
	if path := pathSchemas(s.SearchPath); s.Temporary && path[len(path)-1] != "pg_temp" {
		out = append(out, fmt.Sprintf("a temporary table of %s hides a table of the same name: alter role %s set search_path = %s, pg_temp; and, if no program makes temporary tables, revoke temporary on database %s from public",
			s.Login, quote(s.Login), s.SearchPath, quote(s.Database)))
	}
	return append(out, fmt.Sprintf("pg_stat_activity shows every session of %s the running statements of all tenants: send values as parameters", s.Role))
}
