package scoped

import (
	"github.com/jackc/pgx/v5"

	"github.com/agentagency/onepool/internal/sqllex"
)

// WireValues are the scope's parameters as a connection sends the parameters.
func WireValues(s *Scope) [][]byte { return (&statements{}).scopeValues(s) }

// Prepared is how many statements the connection knows.
func Prepared(conn *pgx.Conn, e *Engine) int { return len(statementsOf(conn, e.Capacity).known) }

// Effects are the effects of a text that the cache does not have.
func Effects(sql string) sqllex.Effects { return classify(sql, false) }
