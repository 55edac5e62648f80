// Package onepoolcheck holds static rules for programs with a single PostgreSQL pool:
//
//   - newpool: no second pool, and no connection beside the pool
//   - poolintx: no second connection inside a transaction
//   - constructorquery: no statement before fx starts the pool
//   - tenantlost: no context without the tenant of the function's own context
//   - txio: no network call and no lock inside a transaction
//   - rowsopen: rows and batch results are closed on every path
//
// The command cmd/onepoolcheck runs the rules, alone or by go vet -vettool. The package
// golangci is a plugin for golangci-lint. README.md has an example of each rule.
//
// A comment in the line of a finding, in the line above, or above the declaration allows
// the finding:
//
//	//onepoolcheck:allow newpool this tool copies one database to another
//
// The comment names the rule and gives a reason. The rules leave _test.go files alone, unless
// .onepoolcheck.yml says "tests: true". The rules recognise types and functions by name: a
// program without onepool can use the rules too.
package onepoolcheck

import "golang.org/x/tools/go/analysis"

// Analyzers returns the rules.
func Analyzers() []*analysis.Analyzer {
	return []*analysis.Analyzer{NewPool, PoolInTx, ConstructorQuery, TenantLost, TxIO, RowsOpen}
}

const docURL = "https://pkg.go.dev/github.com/agentagency/onepool/testkit/onepoolcheck"
