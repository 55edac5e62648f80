package fxdb

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/scoped"
	"github.com/agentagency/onepool/internal/sqllex"
)

// withScope returns a copy of b with the scope. The scope comes after the BEGIN of Batch.BeginTx
// and after the lead: see leadOf. hidden are the numbers of the scope's results among the results
// of the copy.
func withScope(b *pgx.Batch, s *scoped.Scope) (own *pgx.Batch, hidden []int) {
	at := 0
	if begins(b) {
		at = 1
	}
	c := *b
	c.QueuedQueries = slices.Clone(b.QueuedQueries[:at])
	add := func(q *pgx.QueuedQuery) {
		hidden = append(hidden, len(c.QueuedQueries))
		c.QueuedQueries = append(c.QueuedQueries, q)
	}
	n, bare := leadOf(b.QueuedQueries[at:])
	if !bare { // the role and the limits hold for the lead too
		for _, sql := range s.Ahead() {
			add(&pgx.QueuedQuery{SQL: sql})
		}
	}
	c.QueuedQueries = append(c.QueuedQueries, b.QueuedQueries[at:at+n]...)
	add(&pgx.QueuedQuery{SQL: s.SQL(), Arguments: s.Args()})
	c.QueuedQueries = append(c.QueuedQueries, b.QueuedQueries[at+n:]...)
	return &c, hidden
}

// leadOf returns the length of the lead: the first members that must come before the scope,
// because the last member of the lead sets the transaction. bare reports that the members need
// no right and no limit.
func leadOf(queries []*pgx.QueuedQuery) (n int, bare bool) {
	var o opening
	bare, allSet := true, true
	for i, q := range queries {
		all, ok := statementsOf(q.SQL)
		o.follow(all)
		if !ok || o.over || len(q.Arguments) > 0 {
			break
		}
		sets := slices.ContainsFunc(all, sqllex.Statement.SetsTransaction)
		allSet = allSet && (sets || len(all) == 0)
		if sets && len(o.savepoints) == 0 { // ROLLBACK TO would undo the scope
			n, bare = i+1, allSet
		}
	}
	return n, bare
}

// hasLead reports whether a batch without a BEGIN has members that must come before the scope.
// pgx would write the scope's parameters into the text of a simple batch.
func (db *DB) hasLead(b *pgx.Batch) bool {
	if db.core.engine.Mode == pgx.QueryExecModeSimpleProtocol {
		return false
	}
	n, _ := leadOf(b.QueuedQueries)
	return n > 0
}
