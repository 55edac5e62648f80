package randsql

import "strings"

// Soup returns a text of few words. Strings, names, numbers, comments and operators stand
// in every order and closeness, to test a lexer at the end of each token.
func (t *Texts) Soup() string {
	var b strings.Builder
	for range 1 + t.random.IntN(4) {
		b.WriteString(pick(t, "select", "select", "select", "select", "values(", "begin;select", "set a=", "commit;select", "update t set a=", "insert into t select"))
		values := strings.HasSuffix(b.String(), "(")
		for i := range 1 + t.random.IntN(4) {
			if i > 0 {
				b.WriteString(t.gap() + pick(t, ",", ",", "||", "+", "-", "as", "", "=", "*/", "/*", "--", "<->", "@-", "::", ".", " ") + t.gap())
			} else {
				b.WriteString(pick(t, " ", "\n", "/**/", t.gap()))
			}
			b.WriteString(t.atom())
		}
		if values {
			b.WriteString(")")
		}
		b.WriteString(t.gap() + ";" + t.gap())
	}
	return b.String()
}

func (t *Texts) gap() string {
	return pick(t, "", "", "", " ", "\n", "\r", "\t", "\f", "--'\n", "/*'*/", "/*/**/'*/", "--\"\r", "--;\r\n", "/*;--\n*/", "\n--'\n", " -- ; \n ")
}

func (t *Texts) atom() string {
	quote := func(before, after string) string { return before + t.inside() + after }
	switch t.random.IntN(18) {
	case 0, 1:
		return quote("'", "'")
	case 2:
		return quote("E'", "'")
	case 3:
		return quote("e'", "'")
	case 4:
		return quote("U&'", "'")
	case 5:
		return quote(pick(t, "b'", "X'", "n'", "B'"), "'")
	case 6:
		return quote(`"`, `"`)
	case 7:
		return quote(`u&"`, `"`)
	case 8:
		return quote("$$", "$$")
	case 9:
		return quote("$a$", "$a$")
	case 10:
		return quote("$é$", "$é$")
	case 11:
		return quote("'", "'") + pick(t, "\n", "\r", " \n", "\n--'\n", "--\n", "/**/\n", "\f\r\n") + quote("'", "'")
	case 12:
		return quote("e'", "'") + pick(t, "\n", "\r", " \n", "\n--'\n", "--\n", "/**/\n", "\f\r\n") + quote("'", "'")
	case 13:
		return pick(t, "1", "1.", ".5", "1e5", "1e", "1.5e-", "0x1F", "1_0", "$1", "$1a", "0b1", "1..2", "1a")
	case 14:
		return pick(t, "a", "a$b", "a$$b$$", "é", "_$", "e", "u", "n", "b", "x", "E$$", "u&a", "commit", "begin", "listen")
	case 15:
		return quote("a$", "$")
	default:
		return pick(t, "f(1)", "set_config('a','b',false)", "set_config('a','b',true)", "now()", "(1)", "null", "pg_advisory_lock (1)", "1 into t", "setseed(1)")
	}
}

// inside returns a text for the inside of quotes.
func (t *Texts) inside() string {
	var b strings.Builder
	for range t.random.IntN(4) {
		b.WriteString(pick(t, "a", "''", `""`, `\`, `\\`, `\'`, `\'`, "--", "/*", "*/", ";commit;", ";", "$", "$$", "$a$", "\n", "é", " ", `\0041`, "1"))
	}
	return b.String()
}
