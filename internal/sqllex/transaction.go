package sqllex

import (
	"slices"
	"strings"
)

// transactionSettings are the settings that SET TRANSACTION sets. A statement can also set a
// transaction setting by name.
var transactionSettings = []string{"transaction_isolation", "transaction_read_only", "transaction_deferrable"}

// SetsTransaction reports whether the statement sets a property of its own transaction: SET
// TRANSACTION, or SET of one of the transactionSettings.
func (s Statement) SetsTransaction() bool {
	p := parser{lexer: lexer{sql: s.Text}, effects: new(Effects)}
	p.advance()
	if !p.skip("set") {
		return false
	}
	if p.isWord("local") || p.isWord("session") {
		p.advance()
	}
	if p.skip("transaction") {
		return !p.assigns()
	}
	if !p.isName() {
		return false
	}
	name := strings.ToLower(strings.Trim(p.sql[p.tok.start:p.tok.end], `"`))
	p.advance()
	return slices.Contains(transactionSettings, name) && p.assigns() && !p.isSign('.')
}

// SavepointVerb is what a statement does with a savepoint.
type SavepointVerb uint8

const (
	// NoSavepoint is the verb of a statement that has no readable savepoint.
	NoSavepoint SavepointVerb = iota
	// SetSavepoint is SAVEPOINT.
	SetSavepoint
	// ReleaseSavepoint is RELEASE, which ends later savepoints too.
	ReleaseSavepoint
	// RollBackToSavepoint is ROLLBACK TO, which ends later savepoints and keeps the named savepoint.
	RollBackToSavepoint
)

// longestName is the longest name that the server does not cut, in bytes.
const longestName = 63

// Savepoint returns the verb and the name of a statement about a savepoint. Savepoint returns
// NoSavepoint for a name that the server may take for a different name: a long name, a name
// beyond ASCII, or a quoted name with an escape.
func (s Statement) Savepoint() (verb SavepointVerb, name string) {
	p := parser{lexer: lexer{sql: s.Text}, effects: new(Effects)}
	p.advance()
	switch {
	case p.skip("savepoint"):
		verb = SetSavepoint
	case p.skip("release"):
		verb = ReleaseSavepoint
	case p.skip("rollback"):
		if !p.skip("work") {
			p.skip("transaction")
		}
		if !p.skip("to") {
			return NoSavepoint, ""
		}
		verb = RollBackToSavepoint
	default:
		return NoSavepoint, ""
	}
	tok := p.tok
	if verb != SetSavepoint && p.skip("savepoint") && !p.isOver() { // the word may be the name
		tok = p.tok
	}
	name = p.sql[tok.start:tok.end]
	switch tok.kind {
	case word:
		name = strings.ToLower(name)
	case quoted:
		name = name[1 : len(name)-1]
	default:
		return NoSavepoint, ""
	}
	if len(name) > longestName || strings.ContainsFunc(name, func(r rune) bool { return r == '"' || r >= 0x80 }) {
		return NoSavepoint, ""
	}
	return verb, name
}
