package sqllex

import (
	"slices"
	"strings"
)

// transactionSettings are behind SET TRANSACTION, and can be set by name.
var transactionSettings = []string{"transaction_isolation", "transaction_read_only", "transaction_deferrable"}

// SetsTransaction reports whether the statement sets what its own transaction is: SET
// TRANSACTION, or SET of one of the settings behind SET TRANSACTION.
func (s Statement) SetsTransaction() bool {
	p := parser{lexer: lexer{sql: s.Text}, verdict: new(Verdict)}
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
