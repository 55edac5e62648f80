package rls

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestArgumentsOfCalls(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][][]string{
		"perform set_config('a', b, false)":                       {{"'a'", " b", " false"}},
		"SET_CONFIG (f(1, 2), 'it''s, (', \"x,)\")":               {{"f(1, 2)", " 'it''s, ('", " \"x,)\""}},
		"set_config('a', (set_config('b', c, true)), d)":          {{"'a'", " (set_config('b', c, true))", " d"}, {"'b'", " c", " true"}},
		"execute 'select set_config(''a'', b, c)'":                {{"''a''", " b", " c"}},
		"my_set_config('a'); set_config_too(1); \"set_config\"()": {{""}},
		"set_config('a', b":                                       {{"'a'", " b"}},
	} {
		require.Equal(t, want, callsOf(sql, "set_config"), sql)
	}
}

func TestExecutedExpressions(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][]string{
		"begin execute what; end":                                             {"what"},
		"EXECUTE 'insert into a; b' USING new, 1; x := 2":                     {"'insert into a; b'"},
		"execute format('select %I into x', f(a))\ninto n using b;":           {"format('select %I into x', f(a))"},
		"for r in execute 'select ' || a loop end loop":                       {"'select ' || a"},
		"execute function f(); reexecute a; 'execute b'":                      nil,
		"create trigger g after insert on t execute procedure f(); execute a": {"a"},
	} {
		require.Equal(t, want, executed(sql), sql)
	}
}

func TestLeadingLiterals(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]struct {
		text  string
		whole bool
	}{
		"'a'":                         {"a", true},
		" ('it''s'::text) ":           {"it's", true},
		"('app.'::text || 'x'::text)": {"app.", false},
		"format('set %I', a)":         {"set %I", false},
		"pg_catalog.format('a')":      {"a", true},
		"E'a' || b":                   {"a", false},
		"a || 'b'":                    {"", false},
		"":                            {"", false},
	} {
		text, whole := leadingLiteral(sql)
		require.Equal(t, want.text, text, sql)
		require.Equal(t, want.whole, whole, sql)
	}
}

func TestVariablesStandForTheirValues(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		"declare p text := to_json(new); begin perform f(p); end":          true,
		"declare p text default to_json(new); begin perform f(p); end":     true,
		"begin p := to_json(new); perform f(p); end":                       true,
		"begin q := new; p := q::text; perform f(p); end":                  true,
		"begin select json_agg(new) into p from t; perform f(p); end":      true,
		"begin select 1, to_json(new) into strict a, p; perform f(p); end": true,
		"begin p := new.id; q := new; perform f(p); end":                   false,
		"begin if p = 'x' then return new; end if; perform f(p); end":      true, // a comparison counts as a value
	} {
		require.Equal(t, want, wholeRow.MatchString(readSQL(withAssigned("p", source)).code), source)
	}
}
