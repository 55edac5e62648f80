package sqllex

import (
	"strings"
	"testing"
)

// FuzzClassify looks for texts that the lexer does not come to an end of, and for
// effects that a change without a meaning changes. Seeds lie in testdata too.
func FuzzClassify(f *testing.F) {
	for _, sql := range []string{
		"", "'", `"`, "$", "$$", "$a$ $a", "/*", "/* /* */", "--", "e'\\", `e'\'`, "do $$ do $x$ set role a $x$ $$",
		"set", "set session", "set local", "create temp", "explain", "explain (",
		"é$é$", "select $1;", "u&\"a", "u&'", "with", "with a as (", "with a as (select 1) search",
		"select set_config('a'", "copy", "copy (", "declare", "prepare transaction", "create function begin atomic",
		"create rule r (;", "select 'a'\n'b' -- x", "b'0''\\'", "1e'\\''", "1.e-", "((((", "))))", "update only (",
		"a.b.c(", "select ts_rewrite(1,2", "\r--\r", "e'a'\n'\\''", "select 1 as", "x'1' --\n--", "insert", "merge",
	} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if len(sql) > 10_000 {
			return
		}
		v := Classify(sql)
		if again := Classify(sql); again != v {
			t.Fatalf("%q: %+v, then %+v", sql, v, again)
		}
		if v.Statements == 0 && v.Taint&^(Unreadable|Ambiguous) != 0 {
			t.Errorf("%q: taint %v without a statement", sql, v.Taint)
		}
		if behind := Classify("select 1; " + sql); behind.Taint != v.Taint || behind.EndsScope != v.EndsScope {
			t.Errorf("%q: %+v, and behind another statement %+v", sql, v, behind)
		}
		// Nothing behind a text takes a taint from the text.
		for _, more := range []string{"\n; select 1", "\n; listen a", " ", "\n-- x", "' */ \" $$ ;"} {
			if got := Classify(sql + more); v.Taint&Unreadable == 0 && strings.Contains(more, ";") && more[0] == '\n' && got.Taint&v.Taint != v.Taint {
				t.Errorf("%q: %v, and with %q behind %v", sql, v.Taint, more, got.Taint)
			}
		}
		if strings.IndexByte(sql, 0) >= 0 {
			return
		}
		if v.Taint&Unreadable == 0 {
			if got := Classify(sql + "\n; listen a"); got.Taint&Listen == 0 && !openRule(sql) {
				t.Errorf("%q hides what stands behind it", sql)
			}
		}
		if wrapped := Classify("/* ; set role a /* ' */ \" */--'\n" + sql + "\n--;set role b'\""); wrapped.Taint != v.Taint && v.Taint&Unreadable == 0 {
			t.Errorf("%q: %v, and between comments %v", sql, v.Taint, wrapped.Taint)
		}
		if got := Classify(apart(sql)); got.Taint != v.Taint || got.Statements != v.Statements || got.EndsScope != v.EndsScope {
			t.Errorf("%q: %+v, and with comments between the tokens %+v", sql, v, got)
		}
		n := 0
		for _, s := range Statements(sql) {
			n++
			if !strings.Contains(sql, s.Text) || s.Text == "" {
				t.Errorf("%q has no statement %q", sql, s.Text)
			}
		}
		if n != v.Statements {
			t.Errorf("%q: %d statements, and %d by their texts", sql, v.Statements, n)
		}
	})
}

// openRule reports whether a text may have ended inside the parentheses of CREATE RULE
// or the body of a function: no text that the server takes does.
func openRule(sql string) bool {
	lower := strings.ToLower(sql)
	return strings.Contains(lower, "rule") || strings.Contains(lower, "atomic")
}

// apart returns the text with a comment between each two of its tokens.
func apart(sql string) string {
	var b strings.Builder
	l := lexer{sql: sql}
	last := 0
	for {
		t := l.next()
		if t.kind == end {
			break
		}
		b.WriteString(sql[t.start:t.end])
		b.WriteString(" /* ' ; set role a */ ")
		last = t.end
	}
	if l.broken { // its last token has no end
		b.WriteString(" " + sql[last:])
	}
	return b.String()
}
