package sqllex

import (
	"slices"
	"strings"
)

// transactionSettings are the settings behind SET TRANSACTION. A statement can also set a
// transaction setting by name.
var transactionSettings = []string{"transaction_isolation", "transaction_read_only", "transaction_deferrable"}

// SetsTransaction reports whether the statement sets a property of its own transaction: SET
// TRANSACTION, or SET of a setting behind SET TRANSACTION.
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
