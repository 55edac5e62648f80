package sqllex

import "strings"

// tokenKind is the kind of a token.
type tokenKind uint8

const (
	end     tokenKind = iota // of the text, or of the readable part
	word                     // a name or keyword without quotes
	quoted                   // a name in double quotes
	escaped                  // a name as U&"...", which sqllex does not decode
	text                     // a string of any form
	number                   // also the digits before a name of a newer server's 0x1F and 1_000
	param                    // $1
	sign                     // one byte of punctuation or of an operator
)

// token is a token of a text. White space and comments are no tokens.
type token struct {
	kind       tokenKind
	char       byte   // of a sign
	plain      bool   // a string whose value is the text between the quotes
	name       string // of a word or quoted name, folded like the server does; empty if unknown
	start, end int
}

// lexer reads PostgreSQL's SQL (src/backend/parser/scan.l), as far as 14 to 18 agree. If a newer
// server refuses a text and an older server reads the text, lexer reads the text like the older
// server. lexer never reads a text under standard_conforming_strings=off.
type lexer struct {
	sql       string
	at        int
	broken    bool // a string, name or comment has no end
	ambiguous bool // a backslash stands before a quote of a plain string
	escape    bool // the lexer may be at UESCAPE and the string of UESCAPE
}

// class is a byte's part in a token.
type class uint8

const (
	isSpace  class = 1 << iota
	isLetter       // begins a name
	isDigit
	isTag                    // continues a dollar quote's tag
	isName = isTag | 1<<iota // continues a name
)

var classes = func() (c [256]class) {
	for _, b := range " \t\n\r\f\v" { // \v since 16; a syntax error before
		c[b] = isSpace
	}
	for b := 'a'; b <= 'z'; b++ {
		c[b] = isLetter | isName
		c[b-'a'+'A'] = isLetter | isName
	}
	for b := 0x80; b <= 0xff; b++ {
		c[b] = isLetter | isName
	}
	c['_'] = isLetter | isName
	for b := '0'; b <= '9'; b++ {
		c[b] = isDigit | isName
	}
	c['$'] = isName &^ isTag
	return c
}()

// next returns the next token. After the last token next always returns end.
func (l *lexer) next() token {
	for l.at < len(l.sql) {
		c := l.sql[l.at]
		switch classes[c] {
		case isSpace:
			l.at++
			continue
		case isLetter | isName:
			return l.word()
		case isDigit | isName:
			return l.number()
		}
		switch c {
		case '-':
			if l.follows(1, '-') {
				l.at = lineEnd(l.sql, l.at)
				continue
			}
		case '/':
			if l.follows(1, '*') {
				l.comment()
				continue
			}
		case '\'':
			return l.string(l.at, l.at+1, plainString)
		case '"':
			return l.quoted(l.at, l.at+1)
		case '$':
			return l.dollar()
		case '.':
			if l.at+1 < len(l.sql) && classes[l.sql[l.at+1]]&isDigit != 0 {
				return l.number()
			}
		}
		l.at++
		return token{kind: sign, char: c, start: l.at - 1, end: l.at}
	}
	return token{kind: end, start: l.at, end: l.at}
}

// follows reports whether c stands n bytes after the current place.
func (l *lexer) follows(n int, c byte) bool { return l.at+n < len(l.sql) && l.sql[l.at+n] == c }

// stop gives the text up, like the server's lexer.
func (l *lexer) stop() token {
	l.broken, l.at = true, len(l.sql)
	return token{kind: end, start: l.at, end: l.at}
}

// lineEnd returns the place of the first line end from at on.
func lineEnd(sql string, at int) int {
	for at < len(sql) && sql[at] != '\n' && sql[at] != '\r' {
		at++
	}
	return at
}

// comment skips a comment, including nested comments.
func (l *lexer) comment() {
	depth := 0
	for i := l.at; i+1 < len(l.sql); i++ {
		switch {
		case l.sql[i] == '/' && l.sql[i+1] == '*':
			depth++
			i++
		case l.sql[i] == '*' && l.sql[i+1] == '/':
			if depth--; depth == 0 {
				l.at = i + 2
				return
			}
			i++
		}
	}
	l.stop()
}

// word reads a name without quotes, or a string or name that begins with a letter. N'...' is a
// word and a string, like in the server's lexer.
func (l *lexer) word() token {
	start := l.at
	if start+1 < len(l.sql) {
		switch c, next := l.sql[start]|0x20, l.sql[start+1]; {
		case next == '\'' && c == 'e':
			return l.string(start, start+2, escapeString)
		case next == '\'' && (c == 'b' || c == 'x'):
			return l.string(start, start+2, bitString)
		case next == '&' && c == 'u' && l.follows(2, '\''):
			return l.withEscape(l.string(start, start+3, unicodeString))
		case next == '&' && c == 'u' && l.follows(2, '"'):
			t := l.quoted(start, start+3)
			if t.kind == quoted {
				t.kind, t.name = escaped, ""
			}
			return l.withEscape(t)
		}
	}
	i := start + 1
	for i < len(l.sql) && classes[l.sql[i]]&isName != 0 {
		i++
	}
	l.at = i
	return token{kind: word, name: knownName(l.sql[start:i], true), start: start, end: i}
}

// number reads the digits, point and exponent that PostgreSQL 14 reads.
func (l *lexer) number() token {
	start := l.at
	digits := func() (found bool) {
		for l.at < len(l.sql) && classes[l.sql[l.at]]&isDigit != 0 {
			l.at++
			found = true
		}
		return found
	}
	digits()
	if l.follows(0, '.') && !l.follows(1, '.') {
		l.at++
		digits()
	}
	if l.at < len(l.sql) && l.sql[l.at]|0x20 == 'e' {
		before := l.at
		l.at++
		if l.follows(0, '+') || l.follows(0, '-') {
			l.at++
		}
		if !digits() {
			l.at = before
		}
	}
	return token{kind: number, start: start, end: l.at}
}

// quoted reads a name in double quotes. The inside begins at i.
func (l *lexer) quoted(start, i int) token {
	inside := i
	for ; i < len(l.sql); i++ {
		if l.sql[i] != '"' {
			continue
		}
		if i+1 < len(l.sql) && l.sql[i+1] == '"' {
			i++
			continue
		}
		l.at = i + 1
		return token{kind: quoted, name: knownName(l.sql[inside:i], false), start: start, end: l.at}
	}
	return l.stop()
}

// dollar reads a parameter, or a string in dollar quotes.
func (l *lexer) dollar() token {
	start, i := l.at, l.at+1
	if i < len(l.sql) && classes[l.sql[i]]&isDigit != 0 {
		for i < len(l.sql) && classes[l.sql[i]]&isDigit != 0 {
			i++
		}
		l.at = i
		return token{kind: param, start: start, end: i}
	}
	if i < len(l.sql) && classes[l.sql[i]]&isLetter != 0 {
		for i < len(l.sql) && classes[l.sql[i]]&isTag != 0 {
			i++
		}
	}
	if i >= len(l.sql) || l.sql[i] != '$' {
		l.at = start + 1
		return token{kind: sign, char: '$', start: start, end: l.at}
	}
	tag := l.sql[start : i+1]
	inside := i + 1
	n := strings.Index(l.sql[inside:], tag)
	if n < 0 {
		return l.stop()
	}
	l.at = inside + n + len(tag)
	return token{kind: text, start: start, end: l.at}
}
