// Command onepoolcheck reports code that breaks the rules of a program with one PostgreSQL
// pool. The command runs alone, and as a tool of go vet:
//
//	onepoolcheck ./...
//	onepoolcheck -fix ./...
//	go vet -vettool=$(which onepoolcheck) ./...
//
// go vet caches its results and does not see a change of .onepoolcheck.yml: after a change
// run the command alone, or run go clean -cache.
package main

import (
	"golang.org/x/tools/go/analysis/multichecker"

	"github.com/agentagency/onepool/testkit/onepoolcheck"
)

// Main reads the unit that go vet hands over too.
func main() { multichecker.Main(onepoolcheck.Analyzers()...) }
