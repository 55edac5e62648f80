package testkit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/agentagency/onepool/fxdb"
)

// QueryBudget runs the block, and fails the test if the block sends more than n statements
// to the database of db. The failure lists each text, how often the block sent the text, and
// the callers: a query in a loop stands at the top.
//
// QueryBudget counts each statement of a batch. BEGIN, COMMIT, ROLLBACK and savepoints are no
// statements, but round trips: the list says how many round trips the block took. A statement
// that is new on a connection takes another round trip, for the preparation. QueryBudget counts
// all goroutines that use the database. DB, Pool, Swap or Faulty must have made db.
func QueryBudget(t testing.TB, db *fxdb.DB, n int, block func()) {
	t.Helper()
	r, stop := record(t, "QueryBudget", db)
	func() {
		defer stop() // if the block panics or ends the test
		block()
	}()
	all, prepares := r.statements()
	if count, roundTrips, list := summarize(all); count > n {
		t.Errorf("testkit: QueryBudget: the block sent %d statements in %d round trips, and %d to prepare: the budget is %d statements\n%s",
			count, roundTrips, prepares, n, list)
	}
}

// text is a statement's text, and the callers that sent the text.
type text struct {
	sql     string
	count   int
	callers []string
}

// summarize counts the statements and the round trips, and lists the texts.
func summarize(all []sent) (count, roundTrips int, list string) {
	texts := make(map[string]*text)
	for _, s := range all {
		if !s.joins {
			roundTrips++
		}
		if isControl(s.sql) {
			continue
		}
		count++
		line := oneLine(s.sql)
		if texts[line] == nil {
			texts[line] = &text{sql: line}
		}
		texts[line].count++
		if !slices.Contains(texts[line].callers, s.caller) {
			texts[line].callers = append(texts[line].callers, s.caller)
		}
	}
	sorted := make([]*text, 0, len(texts))
	for _, x := range texts {
		sorted = append(sorted, x)
	}
	slices.SortFunc(sorted, func(a, b *text) int { return cmp.Or(b.count-a.count, strings.Compare(a.sql, b.sql)) })
	var lines strings.Builder
	for _, x := range sorted {
		fmt.Fprintf(&lines, "%5d × %s\n", x.count, x.sql)
		for _, caller := range x.callers {
			fmt.Fprintf(&lines, "        at %s\n", caller)
		}
	}
	return count, roundTrips, strings.TrimRight(lines.String(), "\n")
}

// isControl reports whether a statement begins or ends a transaction or a savepoint.
func isControl(sql string) bool {
	switch firstWord(sql) {
	case "begin", "start", "commit", "rollback", "savepoint", "release":
		return true
	}
	return false
}
