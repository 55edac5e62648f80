// Package sqllex reads a text of SQL like PostgreSQL's lexer and reports the remains that the
// text may leave on the session. A text is plain if all of the text's statements are on a list
// of statements that leave nothing; every other text has a [Taint]. sqllex can't know effects
// that no text shows, for example a user's function that sets the session.
//
// The effects hold for a session whose standard_conforming_strings is on and whose
// client_encoding is UTF8. Nothing is plain on a different session.
package sqllex

import "strings"

// MaxText is the longest text that [Classify] reads, in bytes. A longer text is [Unreadable].
const MaxText = 1 << 20

// maxDepth is the largest depth of parentheses. PostgreSQL's parser gives up at a smaller depth.
const maxDepth = 10_000

// Effects is the result of [Classify]. The zero Effects belongs to an empty text.
type Effects struct {
	// Taint is the set of possible remains on the session. Zero: the text is plain.
	Taint Taint

	// Statements is the number of statements in the text, without empty statements; 1 for a text
	// that is too long. The server takes several statements only as a simple query.
	Statements int

	// EndsScope: a statement of the text begins or ends a transaction, and a tenant set for a
	// transaction is over. Savepoints don't set EndsScope. An unreadable text does.
	EndsScope bool

	// Broken: a string, name or comment has no end, or the text has a byte 0. The server refuses
	// a broken text as a whole.
	Broken bool

	// Alone: the text has a statement that the server refuses in a transaction block, such as
	// VACUUM. If Alone is false, every statement of the text may run in a transaction block.
	Alone bool

	// SetsGuarded: the text sets or resets a setting that decides about the transaction's rights
	// and visible rows, or about the server's reading of texts: role, session_authorization,
	// row_security, app.*, standard_conforming_strings, backslash_quote or client_encoding. The
	// statements are SET and RESET, LOCAL or not, set_config, and every write to pg_settings. A name
	// that is no plain literal counts as guarded.
	SetsGuarded bool
}

// Plain reports whether every statement of the text leaves nothing on its session.
func (e Effects) Plain() bool { return e.Taint == 0 }

// Classify reads a text, and allocates nothing.
func Classify(sql string) (v Effects) {
	if len(sql) > MaxText {
		return Effects{Taint: Unreadable, Statements: 1, EndsScope: true}
	}
	return ClassifyWhole(sql)
}

// ClassifyWhole is [Classify] for a text of any length.
func ClassifyWhole(sql string) (v Effects) {
	read(sql, &v, nil)
	return v
}

// Statement is a statement of a text.
type Statement struct {
	Kind  Kind
	Taint Taint
	Text  string // without the semicolon at the end
}

// Statements returns a text's statements, without empty statements. For a text without an end
// Statements returns the readable part, and nothing for a text longer than [MaxText].
func Statements(sql string) (all []Statement) {
	if len(sql) <= MaxText {
		read(sql, new(Effects), func(s Statement) { all = append(all, s) })
	}
	return all
}

func read(sql string, v *Effects, each func(Statement)) {
	if strings.IndexByte(sql, 0) >= 0 { // a byte 0 ends a text in the protocol
		v.Taint, v.Statements, v.EndsScope, v.Broken = Unreadable, 1, true, true
		return
	}
	p := parser{lexer: lexer{sql: sql}, effects: v}
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
