package sqllex

import "strings"

// quoting is how a string quotes its inside, by the first letters of the string.
type quoting uint8

const (
	plainString   quoting = iota // '': the text doubles a quote
	escapeString                 // E'': a backslash also escapes the next byte
	bitString                    // B'', X'': a quote ends the string in any case
	unicodeString                // U&'': a doubled quote; needs standard_conforming_strings
)

// string reads a string whose inside begins at i, including continuations after a line end,
// such as `'a'\n'b'`.
func (l *lexer) string(start, i int, q quoting) token {
	simple := q == plainString
	backslashes := 0 // directly before i
	for ; i < len(l.sql); i++ {
		switch c := l.sql[i]; {
		case c == '\\' && q == escapeString:
			i++
			continue
		case c == '\\':
			backslashes++
			continue
		case c != '\'':
		case q == plainString && backslashes%2 == 1:
			l.ambiguous = true
			fallthrough
		default:
			if i+1 < len(l.sql) && l.sql[i+1] == '\'' && q != bitString {
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

// withEscape adds UESCAPE and its string to the name or string before: the server makes a single
// token of name and UESCAPE.
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

// continued returns the place of the quote with which a string that ended before at continues.
// White space with a line end stands between the two parts; comments to a line's end may stand
// between as well.
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
