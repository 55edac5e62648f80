package sqllex

import "strings"

// form is what a string's first letters say of its inside.
type form uint8

const (
	plainString   form = iota // '': a quote is doubled
	escapeString              // E'': a backslash also takes the next byte along
	bitString                 // B'', X'': a quote ends the string in any case
	unicodeString             // U&'': a quote is doubled; the server refuses it if standard_conforming_strings is off
)

// string reads a string whose inside begins at i, with all that goes on behind a line
// end, as `'a'\n'b'` does.
func (l *lexer) string(start, i int, f form) token {
	simple := f == plainString
	backslashes := 0 // directly before i
	for ; i < len(l.sql); i++ {
		switch c := l.sql[i]; {
		case c == '\\' && f == escapeString:
			i++
			continue
		case c == '\\':
			backslashes++
			continue
		case c != '\'':
		case f == plainString && backslashes%2 == 1:
			l.ambiguous = true
			fallthrough
		default:
			if i+1 < len(l.sql) && l.sql[i+1] == '\'' && f != bitString {
				simple = false
				i++
				break
			}
			more, ok := continued(l.sql, i+1)
			if !ok {
				l.at = i + 1
				return token{kind: text, plain: simple, start: start, end: l.at}
			}
			simple = false
			i = more
		}
		backslashes = 0
	}
	return l.stop()
}

// withEscape takes UESCAPE and its string along with the name or string before: the
// server makes one token of them.
func (l *lexer) withEscape(t token) token {
	if l.escape || t.kind == end {
		return t
	}
	at, broken, ambiguous := l.at, l.broken, l.ambiguous
	l.escape = true
	defer func() { l.escape = false }()
	if next := l.next(); next.kind == word && strings.EqualFold(l.sql[next.start:next.end], "uescape") {
		if next = l.next(); next.kind == text && l.sql[next.start]|0x20 != 'u' {
			t.end = next.end
			return t
		}
	}
	l.at, l.broken, l.ambiguous = at, broken, ambiguous
	return t
}

// continued returns the place of the quote with which a string that ended before at
// goes on: white space with a line end stands between them, and comments to a line's
// end may.
func continued(sql string, at int) (quote int, ok bool) {
	line := false
	for at < len(sql) {
		switch c := sql[at]; {
		case c == '\n' || c == '\r':
			line = true
			at++
		case classes[c] == isSpace:
			at++
		case c == '-' && at+1 < len(sql) && sql[at+1] == '-':
			at = lineEnd(sql, at)
			if at == len(sql) {
				return 0, false
			}
		case c == '\'':
			return at, line
		default:
			return 0, false
		}
	}
	return 0, false
}
