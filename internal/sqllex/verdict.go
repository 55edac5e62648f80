// Package sqllex reads a text of SQL as PostgreSQL's lexer does and says what the text
// may leave on its session. A text is plain if all of its statements are on a list of
// those that leave nothing; every other text has a [Taint]. What no text shows, such
// as a user's function that sets the session, sqllex can't know.
//
// The verdict holds for a session whose standard_conforming_strings is on and whose
// client_encoding is UTF8. Nothing is plain on another.
package sqllex

import "strings"

// MaxText is the longest text that is read, in bytes. A longer one is [Unreadable].
const MaxText = 1 << 20

// maxDepth is how deep parentheses are followed. PostgreSQL's parser gives up before.
const maxDepth = 10_000

// Verdict is what a text says of itself. The zero Verdict is that of an empty text.
type Verdict struct {
	// Taint is what the text may leave on its session. Zero: the text is plain.
	Taint Taint

	// Statements is how many statements the text has, without empty ones. It is 1 for
	// a text that is too long to be read.
	Statements int

	// EndsScope: the text has a statement that ends, or begins, a transaction, so that
	// what a transaction was told about its tenant is over. Savepoints don't. It is
	// also set for a text that can't be read.
	EndsScope bool

	// Broken: a string, name or comment has no end, or the text has a byte 0. The server
	// refuses such a text as a whole.
	Broken bool

	// Alone: the text has a statement that the server refuses in a transaction block,
	// such as VACUUM. Each statement that it is not set for may run in one.
	Alone bool

	// LocalGuard: the text has SET LOCAL of a setting that decides what its transaction
	// sees and may do, or how the server reads texts: role, session_authorization,
	// row_security, app.*, standard_conforming_strings, backslash_quote or
	// client_encoding.
	LocalGuard bool

	// ConfigGuard: the same by set_config, where the setting's name is a literal.
	ConfigGuard bool
}

// Plain reports whether every statement of the text leaves nothing on its session.
func (v Verdict) Plain() bool { return v.Taint == 0 }

// Several reports whether the text is more than one statement, which the server takes
// only as a simple query.
func (v Verdict) Several() bool { return v.Statements > 1 }

// Judge reads a text. It allocates nothing.
func Judge(sql string) (v Verdict) {
	if len(sql) > MaxText {
		return Verdict{Taint: Unreadable, Statements: 1, EndsScope: true}
	}
	return JudgeWhole(sql)
}

// JudgeWhole is Judge for a text of any length.
func JudgeWhole(sql string) (v Verdict) {
	read(sql, &v, nil)
	return v
}

// Statement is one of a text's.
type Statement struct {
	Kind  Kind
	Taint Taint
	Text  string // without the semicolon behind it
}

// Statements reads a text's statements, but for empty ones. Of a text that is too long
// or has no end it returns what could be read.
func Statements(sql string) (all []Statement) {
	if len(sql) <= MaxText {
		read(sql, new(Verdict), func(s Statement) { all = append(all, s) })
	}
	return all
}

func read(sql string, v *Verdict, each func(Statement)) {
	if strings.IndexByte(sql, 0) >= 0 { // a byte 0 ends a text in the protocol
		v.Taint, v.Statements, v.EndsScope, v.Broken = Unreadable, 1, true, true
		return
	}
	p := parser{lexer: lexer{sql: sql}, verdict: v}
	p.advance()
	for {
		for p.isSign(';') {
			p.advance()
		}
		if p.tok.kind == end {
			break
		}
		start := p.tok.start
		kind := p.statement()
		p.rest()
		v.Statements++
		v.Taint |= p.taint
		if each != nil {
			each(Statement{Kind: kind, Taint: p.taint, Text: sql[start:p.before]})
		}
		p.taint, p.rule = 0, false
	}
	if p.ambiguous {
		v.Taint |= Ambiguous
	}
	if p.broken {
		v.Taint |= Unreadable
		v.EndsScope, v.Broken = true, true
	}
}
