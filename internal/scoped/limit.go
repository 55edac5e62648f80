package scoped

import "fmt"

// A statement of a transaction carries the caller's deadline between two statements of the same
// flight: limitTemplate keeps the transaction's statement_timeout and sets a shorter timeout, and
// restoreTemplate restores the statement_timeout for the next statement and for COMMIT. If the
// statement fails, the transaction or its savepoint ends, and the server restores the timeout.
var (
	limitTemplate = &template{
		list: []setting{{name: "statement_timeout", value: remaining}},
		sql: "select pg_catalog.set_config('onepool.statement_timeout', pg_catalog.current_setting('statement_timeout'), true), " +
			"pg_catalog.set_config('statement_timeout', " + fmt.Sprintf(leastTimeout, 1) + ", true)",
	}
	restoreTemplate = &template{
		sql: "select pg_catalog.set_config('statement_timeout', pg_catalog.current_setting('onepool.statement_timeout'), true)",
	}
)
