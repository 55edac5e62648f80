package scoped

import (
	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/sqllex"
)

// WireValues are the scope's parameters as a connection sends the parameters.
func WireValues(s Scope) [][]byte { return (&statements{}).scopeValues(s) }

// Prepared is how many statements the connection knows.
func Prepared(conn *pgx.Conn, e *Engine) int { return len(statementsOf(conn, e.Capacity).known) }

// Verdict is the verdict on a text that the cache does not have.
func Verdict(sql string) sqllex.Verdict { return judge(sql, false) }
