package rls

import (
	"fmt"
	"slices"
	"strings"
)

// rowsOf describes made-up rows of a table.
type rowsOf struct {
	tenants []string // as SQL
	filled  string   // the value of every other column that can hold an identity; empty: NULL
	// If words is not empty, every column has a value: one of the words or numbers, a time
	// yesterday or tomorrow.
	words, numbers []string
}

// madeUpRows are rows of the table for each of the tenants, words, numbers and times. Boolean
// columns have NULL, true and false. The rows have the columns of the condition only, and the
// table's name only if the condition has the name, so that tables with equal policies share a
// question.
func (p policyProbe) madeUpRows(r *rowPolicy, condition string, rows rowsOf) string {
	t := r.table
	text := readSQL(condition)
	named := text.names(t.Name)
	var list []string
	from := fmt.Sprintf("unnest(array[%s]) tenant", strings.Join(rows.tenants, ", "))
	sources := []struct{ column, rows string }{
		{"word", fmt.Sprintf("unnest(array[%s]) word", strings.Join(rows.words, ", "))},
		{"number", fmt.Sprintf("unnest(array[%s]) number", strings.Join(rows.numbers, ", "))},
		{"at", "unnest(array[now() - interval '1 day', now() + interval '1 day']) at"},
	}
	for _, c := range p.columns[t.OID] {
		var value string
		switch {
		case !named && !p.dependsOn(r, c):
			continue
		case c.Name == t.Column:
			value = "made_up.tenant::" + t.kind()
		case c.Type == "boolean":
			value, from = "made_up.flag", with(from, "(values (null::boolean), (true), (false)) f (flag)")
		default:
			value = rows.value(c) + "::" + c.cast()
		}
		for _, source := range sources {
			if strings.Contains(value, "made_up."+source.column) {
				from = with(from, source.rows)
			}
		}
		list = append(list, value+" as "+quote(c.Name))
	}
	alias := "made_up_row"
	if named {
		alias = quote(t.Name)
	}
	return fmt.Sprintf("(select %s from (select * from %s) made_up) as %s", strings.Join(list, ", "), from, alias)
}

// dependsOn reports whether the policy, or a restrictive policy beside it, reads the column.
func (p policyProbe) dependsOn(r *rowPolicy, c columnInfo) bool {
	return slices.Contains(r.Columns, c.Num) || slices.ContainsFunc(r.restrictive(), func(r *rowPolicy) bool { return slices.Contains(r.Columns, c.Num) })
}

// with adds a source of rows once.
func with(from, source string) string {
	if strings.Contains(from, source) {
		return from
	}
	return from + ", " + source
}

// value is the SQL value of a column that is not the tenant's.
func (rows rowsOf) value(c columnInfo) string {
	like := table{tenantColumn: tenantColumn{Type: c.Type}}
	switch kind := like.kind(); {
	case rows.filled != "" && like.usualType() && (kind == Text || kind == UUID && uuidForm.MatchString(rows.filled) || kind == BigInt && integerForm.MatchString(rows.filled)):
		return literal(rows.filled)
	case rows.words == nil:
	case len(c.Labels) > 0:
		labels := "array[" + strings.Join(literals(c.Labels), ", ") + "]"
		return fmt.Sprintf("(case when made_up.word = any (%s) then made_up.word else (%[1]s)[1] end)", labels)
	case strings.HasSuffix(c.Type, "[]"):
		return "'{}'"
	case kind == UUID:
		return "'00000000-0000-4000-8000-000000000000'"
	case kind == BigInt, slices.Contains([]string{"numeric", "real", "double precision"}, c.Type):
		return "made_up.number"
	case slices.Contains([]string{"date", "timestamp with time zone", "timestamp without time zone"}, c.Type):
		return "made_up.at"
	case slices.Contains([]string{"json", "jsonb"}, c.Type):
		return "'{}'"
	case like.usualType():
		return "made_up.word"
	}
	return "null"
}

func literals(values []string) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = literal(v)
	}
	return out
}
